package adstreams.peers;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The logistic regression of a model file, over features that the dataflow's model/features.py defines.
 *
 * <p>Events of a user must come in order and once; the dataflow takes them in any order and any number of times.
 */
public final class Model {
  private static final List<String> TYPES = List.of("IM", "CL", "PS", "CN");
  private static final Map<Character, Long> UNITS =
      Map.of('h', 3_600_000L, 'd', 86_400_000L);
  private static final double HOUR = 3_600_000.0;

  /** One feature; a type of -1 is any. */
  private record Feature(int type, double weight, double never) {}

  /** Matching events not older than a time; all such are counted in one pass over the sequence. */
  private record Count(int type, double weight, long lookBack) {}

  /** Matching events, each worth half after every half-life; `scale` is a place among the half-lives. */
  private record Decayed(int type, double weight, int scale) {}

  public final String id;
  private final double intercept;
  private final Count[] counts;
  private final Decayed[] decayed;
  private final double[] halfLives;
  private final Feature[] recencies;
  private final Feature[] since;
  private final Feature[] between;
  private final int[] found;
  private final double[] factors;

  public Model(String path) {
    JsonNode file;
    try {
      file = new ObjectMapper().readTree(new File(path));
    } catch (IOException error) {
      throw new IllegalArgumentException(path, error);
    }
    id = file.get("id").asText();
    intercept = file.get("intercept").asDouble();
    List<Count> counts = new ArrayList<>();
    List<Decayed> decayed = new ArrayList<>();
    List<Long> halfLives = new ArrayList<>();
    List<Feature> recencies = new ArrayList<>(), since = new ArrayList<>(), between = new ArrayList<>();
    for (JsonNode each : file.get("features")) {
      int type = each.has("type") ? TYPES.indexOf(each.get("type").asText()) : -1;
      double weight = each.get("weight").asDouble();
      Feature feature = new Feature(type, weight, each.has("never") ? each.get("never").asDouble() : 0);
      switch (each.get("aggregation").asText()) {
        case "count" -> counts.add(new Count(type, weight, duration(each.get("look_back").asText())));
        case "decayed_count" -> {
          long halfLife = duration(each.get("half_life").asText());
          if (!halfLives.contains(halfLife)) {
            halfLives.add(halfLife);
          }
          decayed.add(new Decayed(type, weight, halfLives.indexOf(halfLife)));
        }
        case "recency" -> recencies.add(feature);
        case "events_since" -> since.add(feature);
        case "time_between" -> between.add(feature);
        default -> throw new IllegalArgumentException(each.toString());
      }
    }
    this.counts = counts.toArray(new Count[0]);
    this.decayed = decayed.toArray(new Decayed[0]);
    this.halfLives = halfLives.stream().mapToDouble(Long::doubleValue).toArray();
    this.recencies = recencies.toArray(new Feature[0]);
    this.since = since.toArray(new Feature[0]);
    this.between = between.toArray(new Feature[0]);
    found = new int[this.counts.length];
    factors = new double[this.halfLives.length];
  }

  private static long duration(String text) {
    int end = text.length() - 1;
    return Long.parseLong(text.substring(0, end)) * UNITS.get(text.charAt(end));
  }

  /** A user of whom nothing is known. */
  public User newUser() {
    User user = new User();
    user.decayed = new double[decayed.length];
    return user;
  }

  /** Take a user's next event, and return where the user stands now. */
  public double score(User user, long time, int type) {
    user.add(time, type);
    double logit = intercept;
    logit += counted(user, time);
    logit += decayed(user, time, type);
    for (Feature each : recencies) {
      long newest = user.newest(each.type, 0);
      logit += each.weight * (newest == User.NONE ? each.never : Math.log1p((time - newest) / HOUR));
    }
    for (Feature each : since) {
      logit += each.weight * Math.log1p(user.since(each.type));
    }
    for (Feature each : between) {
      long last = user.newest(each.type, 0), before = user.newest(each.type, 1);
      logit += each.weight * (before == User.NONE ? each.never : Math.log1p((last - before) / HOUR));
    }
    return 1 / (1 + Math.exp(-logit));
  }

  private double counted(User user, long time) {
    java.util.Arrays.fill(found, 0);
    for (int place = 0; place < user.size; place++) {
      int type = user.types[place];
      long age = time - user.times[place];
      for (int each = 0; each < counts.length; each++) {
        if ((counts[each].type == type || counts[each].type < 0) && age <= counts[each].lookBack) {
          found[each]++;
        }
      }
    }
    double sum = 0;
    for (int each = 0; each < counts.length; each++) {
      sum += counts[each].weight * Math.log1p(found[each]);
    }
    return sum;
  }

  private double decayed(User user, long time, int type) {
    for (int scale = 0; scale < factors.length; scale++) {
      factors[scale] = user.size < 2 ? 0 : Math.exp(-Math.log(2) * (time - user.times[user.size - 2]) / halfLives[scale]);
    }
    double sum = 0;
    for (int each = 0; each < decayed.length; each++) {
      Decayed feature = decayed[each];
      user.decayed[each] =
          user.decayed[each] * factors[feature.scale] + (feature.type == type || feature.type < 0 ? 1 : 0);
      sum += feature.weight * Math.log1p(user.decayed[each]);
    }
    return sum;
  }
}
