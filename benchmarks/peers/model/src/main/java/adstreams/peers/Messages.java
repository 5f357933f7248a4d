package adstreams.peers;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** Avro messages: events in single-object encoding, of which four fields are read, and scores by propensity.avsc. */
public final class Messages {
  private static final int HEADER = 10;
  private static final List<String> READ = List.of("event_id", "user_id", "timestamp", "type");

  /** What is read of an event. */
  public record Event(String eventId, String userId, long timestamp, int type) {}

  private final GenericDatumReader<GenericRecord> reader;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream(200);
  private BinaryDecoder decoder;
  private BinaryEncoder encoder;
  private GenericRecord record;

  public Messages(String schemaPath) {
    try {
      Schema written = new Schema.Parser().parse(new File(schemaPath));
      List<Schema.Field> fields = new ArrayList<>();
      for (String name : READ) {
        Schema.Field field = written.getField(name);
        fields.add(new Schema.Field(name, field.schema(), null, null));
      }
      Schema wanted = Schema.createRecord(written.getName(), null, written.getNamespace(), false, fields);
      reader = new GenericDatumReader<>(written, wanted, new GenericData());
    } catch (IOException error) {
      throw new IllegalArgumentException(schemaPath, error);
    }
  }

  /** An event from its message. */
  public Event decode(byte[] message) throws IOException {
    decoder = DecoderFactory.get().binaryDecoder(message, HEADER, message.length - HEADER, decoder);
    record = reader.read(record, decoder);
    GenericData.EnumSymbol type = (GenericData.EnumSymbol) record.get(3);
    return new Event(
        record.get(0).toString(), record.get(1).toString(), (Long) record.get(2), type.getSchema().getEnumOrdinal(type.toString()));
  }

  /** The message of a score. */
  public byte[] encode(Event event, double propensity, long seen, String modelId) throws IOException {
    out.reset();
    out.write(new byte[HEADER]);
    encoder = EncoderFactory.get().directBinaryEncoder(out, encoder);
    encoder.writeString(event.userId);
    encoder.writeLong(event.timestamp);
    encoder.writeLong(event.eventId.hashCode());
    encoder.writeIndex(1);
    encoder.writeString(event.eventId);
    encoder.writeEnum(event.type);
    encoder.writeDouble(propensity);
    encoder.writeLong(seen);
    encoder.writeLong(event.timestamp * 1000 + seen);
    encoder.writeString(modelId);
    return out.toByteArray();
  }

  /** The key of a score's message. */
  public static byte[] key(Event event) {
    return event.userId.getBytes(StandardCharsets.UTF_8);
  }
}
