package io.grpc.testing.integration; // the official soaks are visible only here

import com.google.gson.JsonObject;
import io.grpc.CallOptions;
import io.grpc.ChannelCredentials;
import io.grpc.ClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.ServerCredentials;
import io.grpc.ServerInterceptors;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.TlsChannelCredentials;
import io.grpc.TlsServerCredentials;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.BlockingClientCall;
import io.grpc.stub.MetadataUtils;
import io.grpc.testing.integration.Messages.Payload;
import io.grpc.testing.integration.Messages.ResponseParameters;
import io.grpc.testing.integration.Messages.SimpleRequest;
import io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import io.grpc.testing.integration.Messages.StreamingOutputCallResponse;
import com.google.protobuf.ByteString;
import java.io.File;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.Assert;

/**
 * Runs grpc-java's own interop cases and service with the command line of the other peers. The
 * official programs can trust no CA but their own, and take a JVM for each case.
 */
public final class Interop {
  private static final int SOAK_LIMIT_S = 60;
  // The official limit for one call of a soak is 1 s, which a busy machine may miss.
  private static final int SOAK_CALL_LIMIT_MS = 10_000;
  private static final int CALL_LIMIT_S = 20;
  // Of the case large_beside_stalled_stream, which is ours.
  private static final int MIB = 1 << 20;
  private static final int STALLED = 8;
  private static final int BESIDE = 4;
  // Of the case cut_at_drain, which is ours, too: sizes, and what a hub says to whom it cuts off.
  private static final int REQUEST = 27182;
  private static final int RESPONSE = 31415;
  private static final String CUT_OFF =
      "this hub ends the connection, and your call had not ended in the time for that";

  private interface Case {
    void run() throws Exception;
  }

  /** The command line: `--flag value` pairs, then what is left. */
  private static final class Args {
    final Map<String, String> flags = new HashMap<>();
    final List<String> rest = new ArrayList<>();

    Args(String[] args) {
      for (int i = 1; i < args.length; i++) {
        if (args[i].startsWith("--")) {
          flags.put(args[i].substring(2), args[++i]);
        } else {
          rest.add(args[i]);
        }
      }
    }
  }

  /** The official cases over our channel. */
  private static final class Tester extends AbstractInteropTest {
    final Args args;

    Tester(Args args) {
      this.args = args;
    }

    @Override
    protected ManagedChannelBuilder<?> createChannelBuilder() {
      ManagedChannelBuilder<?> builder =
          Grpc.newChannelBuilder(args.flags.get("target"), credentials())
              .maxInboundMessageSize(MAX_MESSAGE_SIZE);
      String name = args.flags.get("name");
      if (name != null) {
        Metadata metadata = new Metadata();
        metadata.put(Metadata.Key.of("name", Metadata.ASCII_STRING_MARSHALLER), name);
        builder.intercept(MetadataUtils.newAttachHeadersInterceptor(metadata));
      }
      return builder;
    }

    private ChannelCredentials credentials() {
      String ca = args.flags.get("tls-ca-file");
      try {
        return ca == null
            ? InsecureChannelCredentials.create()
            : TlsChannelCredentials.newBuilder().trustManager(new File(ca)).build();
      } catch (java.io.IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
    }

    @Override
    protected boolean metricsExpected() {
      return false;
    }

    Case find(String name) {
      switch (name) {
        case "empty_unary": return this::emptyUnary;
        case "large_unary": return this::largeUnary;
        case "client_streaming": return this::clientStreaming;
        case "server_streaming": return this::serverStreaming;
        case "ping_pong": return this::pingPong;
        case "empty_stream": return this::emptyStream;
        case "timeout_on_sleeping_server": return this::timeoutOnSleepingServer;
        case "cancel_after_begin": return this::cancelAfterBegin;
        case "cancel_after_first_response": return this::cancelAfterFirstResponse;
        case "status_code_and_message": return this::statusCodeAndMessage;
        case "special_status_message": return this::specialStatusMessage;
        case "custom_metadata": return this::customMetadata;
        case "unimplemented_method": return this::unimplementedMethod;
        case "unimplemented_service": return this::unimplementedService;
        case "large_beside_stalled_stream": return this::largeBesideStalledStream;
        case "cut_at_drain": return this::cutAtDrain;
        case "rpc_soak": return () -> soak(false);
        case "channel_soak": return () -> soak(true);
        default: throw new IllegalArgumentException("no such case");
      }
    }

    private void largeBesideStalledStream() throws Exception {
      AtomicLong sum = new AtomicLong();
      CompletableFuture<Status> end = new CompletableFuture<>();
      ClientCall<StreamingOutputCallRequest, StreamingOutputCallResponse> stalled =
          channel.newCall(
              TestServiceGrpc.getStreamingOutputCallMethod(),
              CallOptions.DEFAULT.withDeadlineAfter(CALL_LIMIT_S, TimeUnit.SECONDS));
      stalled.start(
          new ClientCall.Listener<StreamingOutputCallResponse>() {
            @Override
            public void onMessage(StreamingOutputCallResponse answer) {
              sum.addAndGet(answer.getPayload().getBody().size());
            }

            @Override
            public void onClose(Status status, Metadata trailers) {
              end.complete(status);
            }
          },
          new Metadata());
      ResponseParameters wanted = ResponseParameters.newBuilder().setSize(MIB).build();
      stalled.sendMessage(
          StreamingOutputCallRequest.newBuilder()
              .addAllResponseParameters(Collections.nCopies(STALLED, wanted))
              .build());
      stalled.halfClose();
      Payload payload = Payload.newBuilder().setBody(ByteString.copyFrom(new byte[MIB])).build();
      for (int turn = 0; turn < BESIDE; turn++) {
        SimpleRequest request =
            SimpleRequest.newBuilder().setResponseSize(MIB).setPayload(payload).build();
        int size = blockingStub.unaryCall(request).getPayload().getBody().size();
        expect("the size of the answer", size, MIB);
      }
      stalled.request(STALLED + 1);
      Status status = end.get(CALL_LIMIT_S, TimeUnit.SECONDS);
      if (!status.isOk()) {
        throw status.asException();
      }
      expect("what was left to read", sum.get(), STALLED * MIB);
    }

    private void cutAtDrain() throws Exception {
      BlockingClientCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call =
          TestServiceGrpc.newBlockingV2Stub(channel)
              .withDeadlineAfter(CALL_LIMIT_S, TimeUnit.SECONDS)
              .fullDuplexCall();
      call.write(
          StreamingOutputCallRequest.newBuilder()
              .addResponseParameters(ResponseParameters.newBuilder().setSize(RESPONSE))
              .setPayload(Payload.newBuilder().setBody(ByteString.copyFrom(new byte[REQUEST])))
              .build());
      expect("the size of the answer", call.read().getPayload().getBody().size(), RESPONSE);
      System.out.println("BEGUN");
      Status end = Assert.assertThrows(StatusException.class, call::read).getStatus();
      Assert.assertEquals("the status", Status.Code.UNAVAILABLE, end.getCode());
      Assert.assertEquals("the message", CUT_OFF, end.getDescription());
    }

    private static void expect(String what, long got, long want) {
      if (got != want) {
        throw new AssertionError(what + " is " + got + ", not " + want);
      }
    }

    private void soak(boolean newChannels) throws Exception {
      SoakClient.performSoakTest(
          args.flags.get("target"), Integer.parseInt(args.flags.getOrDefault("soak", "10")),
          /* maxFailures= */ 0, SOAK_CALL_LIMIT_MS, /* minTimeMsBetweenRpcs= */ 0, SOAK_LIMIT_S,
          /* requestSize= */ 271828, /* responseSize= */ 314159, /* threads= */ 1, channel,
          old -> newChannels ? replace(old) : old);
    }

    private ManagedChannel replace(ManagedChannel old) {
      old.shutdownNow();
      try {
        old.awaitTermination(SOAK_LIMIT_S, TimeUnit.SECONDS);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
      return createChannel();
    }
  }

  /** Runs the cases named and prints one JSON line for each. */
  private static void client(Args args) {
    for (String name : args.rest) {
      Tester tester = new Tester(args); // it keeps what it has seen, and is meant for one case
      JsonObject outcome = new JsonObject();
      outcome.addProperty("case", name);
      long began = System.nanoTime();
      String why = null;
      tester.setUp();
      try {
        tester.find(name).run();
      } catch (Throwable e) { // an AssertionError too
        why = e.toString();
      } finally {
        tester.tearDown();
      }
      outcome.addProperty("ok", why == null);
      outcome.addProperty("ms", (System.nanoTime() - began) / 1_000_000);
      outcome.addProperty("why", why);
      System.out.println(outcome);
    }
  }

  /** Serves the official service. Prints `READY address` when it listens. */
  private static void server(Args args) throws Exception {
    String cert = args.flags.get("tls-cert-file");
    ServerCredentials credentials =
        cert == null
            ? InsecureServerCredentials.create()
            : TlsServerCredentials.create(new File(cert), new File(args.flags.get("tls-key-file")));
    TestServiceImpl service = new TestServiceImpl(Executors.newSingleThreadScheduledExecutor());
    int port =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0), credentials)
            .maxInboundMessageSize(AbstractInteropTest.MAX_MESSAGE_SIZE)
            .addService(ServerInterceptors.intercept(service, TestServiceImpl.interceptors()))
            .build()
            .start()
            .getPort();
    System.out.println("READY 127.0.0.1:" + port);
    Thread.currentThread().join();
  }

  public static void main(String[] argv) throws Exception {
    Args args = new Args(argv);
    if (argv[0].equals("server")) {
      server(args);
    } else {
      client(args);
      System.exit(0); // the libraries' threads would keep it up
    }
  }
}
