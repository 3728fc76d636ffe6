import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ConnectException;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.apache.spark.ExceptionFailure;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkFiles;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.VoidFunction;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;

/**
 * Runs the workers of a gespann as tasks of Spark, one in each, for as long as that gespann is there.
 *
 * Arguments: the address where gespann serves this run, the SHA-256 of its program, the number of
 * workers. The environment has the key GESPANN_KEY, 64 hexadecimal digits, with which what tasks are
 * told is sealed, and from which the hidden part of the address is made: arguments can be seen by
 * everybody on a machine.
 *
 * Calls only what Spark 3.5 and 4 have in common; Java 8.
 */
public final class Gespann {
  static final int CONNECT_MS = 5_000, READ_MS = 15_000;
  static final long PATIENCE_MS = 600_000; // of a gespann that does not answer: its machine may sleep
  static final long STAY_MS = 10_000; // a worker that has ended earlier is not started again at once
  static final int END_S = 6; // that workers have to end in

  public static void main(String[] args) throws Exception {
    Server server = new Server(args[0], System.getenv("GESPANN_KEY"));
    Thread life = new Thread(server::live, "gespann-life");
    life.setDaemon(true);
    life.start();

    try {
      workers(server, args[0] + "/gespann", args[1], Integer.parseInt(args[2]), life);
    } catch (Throwable e) {
      if (life.isAlive()) {
        server.report("failed " + firstLine(e.getMessage()));
        throw e;
      }
    }
    System.exit(0);
  }

  /** Runs workers until life ends. */
  private static void workers(Server server, String program, String sha256, int count, Thread life) throws Exception {
    JavaSparkContext sc = new JavaSparkContext(new SparkConf());
    Watch watch = new Watch(server);
    sc.sc().addSparkListener(watch);
    server.report("app " + sc.sc().applicationId() + " " + (sc.sc().uiWebUrl().isDefined() ? sc.sc().uiWebUrl().get() : ""));
    sc.addFile(program);
    Thread end = new Thread(() -> {
      try {
        for (life.join(); !sc.sc().isStopped(); Thread.sleep(200)) sc.cancelAllJobs(); // the job may not have begun
      } catch (InterruptedException | IllegalStateException e) { // nobody interrupts it; the context has just stopped
      }
    }, "gespann-end");
    end.setDaemon(true);
    end.start();

    List<Integer> numbers = new ArrayList<>();
    for (int i = 0; i < count; i++) numbers.add(i);
    try {
      sc.setJobGroup("gespann", "workers of gespann", true);
      sc.parallelize(numbers, count).foreach(new Worker(server, sha256));
    } finally {
      for (int i = 0; i < END_S * 10 && watch.running.get() > 0; i++) Thread.sleep(100);
      sc.stop();
    }
  }

  /** Tells gespann of tasks that have ended: Spark starts them again. */
  static final class Watch extends SparkListener {
    final AtomicInteger running = new AtomicInteger();
    private final Server server;

    Watch(Server server) {
      this.server = server;
    }

    @Override
    public void onTaskStart(SparkListenerTaskStart start) {
      running.incrementAndGet();
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
      running.decrementAndGet();
      if (server.ended) return;
      String why = end.reason() instanceof ExceptionFailure
          ? ((ExceptionFailure) end.reason()).description() : String.valueOf(end.reason());
      server.report("task " + end.taskInfo().index() + " " + firstLine(why));
    }
  }

  /** A task: one worker of gespann. Its words go to the executor's page. */
  static final class Worker implements VoidFunction<Integer> {
    private static final long serialVersionUID = 1;
    private final Server server;
    private final String sha256;

    Worker(Server server, String sha256) {
      this.server = server;
      this.sha256 = sha256;
    }

    @Override
    public void call(Integer i) throws Exception {
      long began = System.nanoTime();
      try {
        run(i);
      } catch (IOException e) {
        if (System.nanoTime() - began < STAY_MS * 1_000_000L) Thread.sleep(1000);
        throw e;
      }
    }

    private void run(int i) throws Exception {
      File program = new File(SparkFiles.get("gespann"));
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] block = new byte[1 << 16];
      try (InputStream in = Files.newInputStream(program.toPath())) {
        for (int n; (n = in.read(block)) >= 0;) digest.update(block, 0, n);
      }
      if (!hex(digest.digest()).equals(sha256)) throw new IOException(program + " is not the program that was sent");
      program.setExecutable(true);
      program.deleteOnExit(); // Spark keeps its folder for days

      String told = server.open("/worker/" + i); // arguments, each on a line, an empty line, the input
      int at = told.indexOf("\n\n");
      List<String> command = new ArrayList<>();
      command.add(program.getPath());
      command.addAll(Arrays.asList(told.substring(0, at).split("\n")));
      ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
      builder.environment().remove("GESPANN_KEY");
      ResourceInformation gpu = TaskContext.get().resourcesJMap().get("gpu");
      if (gpu != null) builder.environment().put("CUDA_VISIBLE_DEVICES", String.join(",", gpu.addresses()));

      Process process = builder.start();
      Words words = new Words(process.getInputStream());
      words.start();
      OutputStream in = process.getOutputStream();
      try {
        in.write(told.substring(at + 2).getBytes(StandardCharsets.UTF_8));
        in.flush();
        int status = process.waitFor();
        words.join(1000);
        if (status > 128) throw new IOException("signal " + (status - 128)); // without a word
        throw new IOException("exit status " + status + (words.last.isEmpty() ? "" : ": " + words.last));
      } finally { // interrupted, mostly
        Thread.interrupted();
        if (process.isAlive()) {
          try {
            in.write("end\n".getBytes(StandardCharsets.UTF_8));
            in.close();
          } catch (IOException e) { // it has ended meanwhile
          }
          if (!process.waitFor(END_S - 1, TimeUnit.SECONDS)) process.destroyForcibly().waitFor();
        }
      }
    }
  }

  /** Passes on what a process writes, and keeps the last line. */
  static final class Words extends Thread {
    volatile String last = "";
    private final InputStream in;

    Words(InputStream in) {
      super("gespann-words");
      this.in = in;
      setDaemon(true);
    }

    @Override
    public void run() {
      ByteArrayOutputStream line = new ByteArrayOutputStream();
      try {
        byte[] block = new byte[8192];
        for (int n; (n = in.read(block)) >= 0;) {
          System.err.write(block, 0, n);
          System.err.flush();
          for (int i = 0; i < n; i++) {
            if (block[i] != '\n') {
              if (line.size() < 1000) line.write(block[i]);
            } else if (line.size() > 0) {
              last = new String(line.toByteArray(), StandardCharsets.UTF_8).trim();
              line.reset();
            }
          }
        }
      } catch (IOException e) { // as its end
      }
    }
  }

  /** The gespann that has asked for this. */
  static final class Server implements java.io.Serializable {
    private static final long serialVersionUID = 1;
    volatile boolean ended;
    private final String base, key;

    Server(String address, String key) throws Exception {
      this.key = key;
      byte[] hidden = MessageDigest.getInstance("SHA-256").digest((key + " path").getBytes(StandardCharsets.UTF_8));
      base = address.substring(0, address.lastIndexOf('/') + 1) + hex(hidden);
    }

    /** Returns when gespann wants all to end, or is gone. It writes a byte now and then. */
    void live() {
      long heard = System.nanoTime();
      while (System.nanoTime() - heard < PATIENCE_MS * 1_000_000L) {
        try (InputStream in = connect("/life").getInputStream()) {
          for (int b; (b = in.read()) >= 0;) {
            heard = System.nanoTime();
            if (b == 'e') {
              ended = true;
              return;
            }
          }
        } catch (ConnectException e) {
          if (String.valueOf(e.getMessage()).contains("refused")) break; // its machine is there, and says that it is not
        } catch (IOException e) { // it may come back
        }
        try {
          Thread.sleep(500);
        } catch (InterruptedException e) {
          break;
        }
      }
      System.err.println("gespann: the one that this is for is gone");
      ended = true;
    }

    /** Gets what is sealed: a nonce of 12 bytes, and AES-256-GCM. */
    String open(String path) throws Exception {
      byte[] sealed;
      try (InputStream in = connect(path).getInputStream()) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        byte[] block = new byte[8192];
        for (int n; (n = in.read(block)) >= 0;) all.write(block, 0, n);
        sealed = all.toByteArray();
      }
      byte[] raw = new byte[key.length() / 2];
      for (int i = 0; i < raw.length; i++) raw[i] = (byte) Integer.parseInt(key.substring(2 * i, 2 * i + 2), 16);
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
      cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(raw, "AES"), new GCMParameterSpec(128, sealed, 0, 12));
      return new String(cipher.doFinal(sealed, 12, sealed.length - 12), StandardCharsets.UTF_8);
    }

    /** Tells gespann something, if it listens. */
    void report(String text) {
      try {
        HttpURLConnection c = connect("/report");
        c.setDoOutput(true);
        try (OutputStream out = c.getOutputStream()) {
          out.write(text.getBytes(StandardCharsets.UTF_8));
        }
        c.getResponseCode();
      } catch (IOException e) {
        System.err.println("gespann: " + text);
      }
    }

    private HttpURLConnection connect(String path) throws IOException {
      HttpURLConnection c = (HttpURLConnection) new URL(base + path).openConnection();
      c.setConnectTimeout(CONNECT_MS);
      c.setReadTimeout(READ_MS);
      return c;
    }
  }

  static String firstLine(String text) {
    String line = String.valueOf(text).split("\n", 2)[0];
    return line.substring(0, Math.min(line.length(), 500));
  }

  static String hex(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte b : bytes) text.append(String.format("%02x", b));
    return text.toString();
  }
}
