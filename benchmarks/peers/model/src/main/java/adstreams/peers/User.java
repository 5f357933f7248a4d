package adstreams.peers;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** A user's newest events, and the decayed counts up to the last of them. */
public final class User {
  /** The time of an event that there is not. */
  public static final long NONE = Long.MIN_VALUE;

  private static final int LONGEST = 1_000;

  public long[] times = new long[4];
  public byte[] types = new byte[4];
  public int size;
  public long seen;
  public double[] decayed;

  /** Take an event that is not earlier than the last; of those that are too many the oldest go. */
  void add(long time, int type) {
    if (size == times.length) {
      if (size >= 2 * LONGEST) {
        System.arraycopy(times, size - LONGEST, times, 0, LONGEST);
        System.arraycopy(types, size - LONGEST, types, 0, LONGEST);
        size = LONGEST;
      } else {
        times = Arrays.copyOf(times, 2 * size);
        types = Arrays.copyOf(types, 2 * size);
      }
    }
    times[size] = time;
    types[size++] = (byte) type;
    seen++;
  }

  /** The time of the newest event of a type, or of the `before`th one before that. */
  long newest(int type, int before) {
    for (int place = size - 1; place >= 0; place--) {
      if ((type < 0 || types[place] == type) && before-- == 0) {
        return times[place];
      }
    }
    return NONE;
  }

  /** How many events came after the newest of a type. */
  int since(int type) {
    int place = size - 1;
    while (place >= 0 && types[place] != type) {
      place--;
    }
    return size - 1 - place;
  }

  /** As bytes, for stores that keep nothing else. */
  public byte[] pack() {
    ByteBuffer out = ByteBuffer.allocate(12 + 8 * decayed.length + 9 * size);
    out.putLong(seen).putInt(size);
    for (double each : decayed) {
      out.putDouble(each);
    }
    for (int place = 0; place < size; place++) {
      out.putLong(times[place]);
    }
    return out.put(types, 0, size).array();
  }

  /** From its bytes. */
  public static User unpack(byte[] bytes, int decayed) {
    ByteBuffer in = ByteBuffer.wrap(bytes);
    User user = new User();
    user.seen = in.getLong();
    user.size = in.getInt();
    user.decayed = new double[decayed];
    for (int each = 0; each < decayed; each++) {
      user.decayed[each] = in.getDouble();
    }
    user.times = new long[user.size + 1];
    user.types = new byte[user.size + 1];
    for (int place = 0; place < user.size; place++) {
      user.times[place] = in.getLong();
    }
    in.get(user.types, 0, user.size);
    return user;
  }
}
