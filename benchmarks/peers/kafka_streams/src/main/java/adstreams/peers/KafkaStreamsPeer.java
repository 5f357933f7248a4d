package adstreams.peers;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams: state in RocksDB behind a cache, with its changelog topic, committed every 10 s.
 *
 * <p>Arguments: BROKERS TOPIC WARM OUTPUT_TOPIC THREADS MODEL EVENT_SCHEMA STATE EVENTS APPLICATION.
 */
public final class KafkaStreamsPeer {
  /** Messages -> messages of scores. */
  private static final class Scorer implements Processor<String, byte[], byte[], byte[]> {
    private final Model model;
    private final Messages messages;
    private final int decayed;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<String, byte[]> state;

    Scorer(String model, String schema) {
      this.model = new Model(model);
      messages = new Messages(schema);
      decayed = this.model.newUser().decayed.length;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
      this.context = context;
      state = context.getStateStore("users");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      try {
        Messages.Event event = messages.decode(record.value());
        byte[] known = state.get(event.userId());
        User user = known == null ? model.newUser() : User.unpack(known, decayed);
        double propensity = model.score(user, event.timestamp(), event.type());
        state.put(event.userId(), user.pack());
        byte[] value = messages.encode(event, propensity, user.seen, model.id);
        context.forward(record.withKey(Messages.key(event)).withValue(value));
        Meter.count();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  public static void main(String[] given) throws Exception {
    Meter.expect(Long.parseLong(given[2]));
    Properties settings = new Properties();
    settings.put("application.id", given[9]);
    settings.put("bootstrap.servers", given[0]);
    settings.put("state.dir", given[7]);
    settings.put("num.stream.threads", given[4]);
    settings.put("auto.offset.reset", "earliest");
    settings.put("max.poll.records", "5000");
    settings.put("producer.compression.type", "lz4");
    settings.put("producer.linger.ms", "50");
    settings.put("producer.batch.size", "131072");
    settings.put("commit.interval.ms", "10000");
    settings.put("statestore.cache.max.bytes", String.valueOf(256 << 20));
    Topology topology = new Topology();
    topology.addSource("events", new StringDeserializer(), new ByteArrayDeserializer(), given[1]);
    topology.addProcessor("scorer", () -> new Scorer(given[5], given[6]), "events");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore("users"), Serdes.String(), Serdes.ByteArray())
            .withCachingEnabled(),
        "scorer");
    topology.addSink("scores", given[3], new ByteArraySerializer(), new ByteArraySerializer(), "scorer");
    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.start();
    long events = Long.parseLong(given[8]);
    while (Meter.seen() < events) {
      if (streams.state() == KafkaStreams.State.ERROR) {
        System.exit(1);
      }
      Thread.sleep(10);
    }
    streams.close(Duration.ofSeconds(60));
    Meter.stop();
    System.exit(0);
  }
}
