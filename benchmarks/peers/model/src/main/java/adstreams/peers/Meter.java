package adstreams.peers;

import java.util.concurrent.atomic.AtomicLong;

/** Events a second, from the first `warm` events on to when `stop` is called. */
public final class Meter {
  private static final AtomicLong SEEN = new AtomicLong();
  private static volatile long warm, started;

  private Meter() {}

  public static void expect(long warm) {
    Meter.warm = warm;
  }

  public static void count() {
    if (SEEN.incrementAndGet() == warm) {
      started = System.nanoTime();
    }
  }

  public static long seen() {
    return SEEN.get();
  }

  public static void stop() {
    System.out.println((SEEN.get() - warm) / ((System.nanoTime() - started) / 1e9));
  }
}
