package adstreams.peers;

import java.io.IOException;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/**
 * Flink in one process: state on the heap, a checkpoint every 10 s, objects reused.
 *
 * <p>Arguments: BROKERS TOPIC WARM none|OUTPUT_TOPIC PARALLELISM MODEL EVENT_SCHEMA CHECKPOINTS.
 */
public final class FlinkPeer {
  /** An event that Flink can pass on without reflection. */
  public static final class Event {
    public String eventId, userId;
    public long timestamp;
    public int type;
  }

  /** A score on its way out. */
  public static final class Score {
    public byte[] key, value;
  }

  /** Messages -> events. */
  public static final class Decoder extends AbstractDeserializationSchema<Event> {
    private final String schema;
    private transient Messages messages;

    Decoder(String schema) {
      super(TypeInformation.of(Event.class));
      this.schema = schema;
    }

    @Override
    public Event deserialize(byte[] message) throws IOException {
      messages = messages == null ? new Messages(schema) : messages;
      Messages.Event read = messages.decode(message);
      Event event = new Event();
      event.eventId = read.eventId();
      event.userId = read.userId();
      event.timestamp = read.timestamp();
      event.type = read.type();
      return event;
    }
  }

  /** Events -> scores. */
  public static final class Scorer extends KeyedProcessFunction<String, Event, Score> {
    private final String path, schema;
    private final boolean encode;
    private transient Model model;
    private transient Messages messages;
    private transient ValueState<User> state;

    Scorer(String path, String schema, boolean encode) {
      this.path = path;
      this.schema = schema;
      this.encode = encode;
    }

    @Override
    public void open(OpenContext context) {
      model = new Model(path);
      messages = new Messages(schema);
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("user", TypeInformation.of(User.class)));
    }

    @Override
    public void processElement(Event event, Context context, Collector<Score> out) throws Exception {
      User user = state.value();
      user = user == null ? model.newUser() : user;
      double propensity = model.score(user, event.timestamp, event.type);
      state.update(user);
      Score score = new Score();
      if (encode) {
        Messages.Event read = new Messages.Event(event.eventId, event.userId, event.timestamp, event.type);
        score.key = Messages.key(read);
        score.value = messages.encode(read, propensity, user.seen, model.id);
      }
      out.collect(score);
      Meter.count();
    }
  }

  /** A part of a score as it is. */
  public static final class Part implements SerializationSchema<Score> {
    private final boolean key;

    Part(boolean key) {
      this.key = key;
    }

    @Override
    public byte[] serialize(Score score) {
      return key ? score.key : score.value;
    }
  }

  public static void main(String[] given) throws Exception {
    String brokers = given[0], topic = given[1], to = given[3], model = given[5], schema = given[6];
    Meter.expect(Long.parseLong(given[2]));
    Configuration settings = new Configuration();
    settings.setString("state.backend.type", "hashmap");
    settings.setString("execution.checkpointing.interval", "10s");
    settings.setString("execution.checkpointing.storage", "filesystem");
    settings.setString("execution.checkpointing.dir", given[7]);
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("restart-strategy.type", "disable");
    StreamExecutionEnvironment flink = StreamExecutionEnvironment.getExecutionEnvironment(settings);
    flink.setParallelism(Integer.parseInt(given[4]));
    KafkaSource<Event> source =
        KafkaSource.<Event>builder()
            .setBootstrapServers(brokers)
            .setTopics(topic)
            .setGroupId("flink-peer")
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.latest())
            .setProperty("max.poll.records", "5000")
            .setValueOnlyDeserializer(new Decoder(schema))
            .build();
    DataStream<Score> scores =
        flink
            .fromSource(source, WatermarkStrategy.noWatermarks(), "events")
            .keyBy(event -> event.userId, Types.STRING)
            .process(new Scorer(model, schema, !to.equals("none")));
    if (to.equals("none")) {
      scores.sinkTo(new DiscardingSink<>());
    } else {
      KafkaRecordSerializationSchema<Score> records =
          KafkaRecordSerializationSchema.<Score>builder()
              .setTopic(to)
              .setKeySerializationSchema(new Part(true))
              .setValueSerializationSchema(new Part(false))
              .build();
      scores.sinkTo(
          KafkaSink.<Score>builder()
              .setBootstrapServers(brokers)
              .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
              .setProperty("compression.type", "lz4")
              .setProperty("linger.ms", "50")
              .setProperty("batch.size", "131072")
              .setRecordSerializer(records)
              .build());
    }
    flink.execute();
    Meter.stop();
  }
}
