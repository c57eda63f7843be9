import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.BlockingClientCall;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Locale;

/**
 * A caller that moves 64 MiB in one call, with grpc-java's default windows: Move ADDRESS NAME METHOD TIMES. Each line
 * that it prints is how many seconds a call took.
 */
public final class Move {
    private static final int MESSAGES = 4096;
    private static final int MESSAGE = (16 << 10) - 5;

    /** Passes messages as they are. */
    private static final class Raw implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 4) {
            throw new IllegalArgumentException("usage: Move ADDRESS NAME METHOD TIMES");
        }
        ManagedChannel connection = NettyChannelBuilder.forTarget(args[0]).usePlaintext().build();
        Metadata named = new Metadata();
        named.put(Metadata.Key.of("name", Metadata.ASCII_STRING_MARSHALLER), args[1]);
        Channel channel = ClientInterceptors.intercept(
                connection, MetadataUtils.newAttachHeadersInterceptor(named));
        for (int time = 0; time < Integer.parseInt(args[3]); time++) {
            long start = System.nanoTime();
            call(channel, args[2]);
            System.out.printf(Locale.ROOT, "%.3f%n", (System.nanoTime() - start) / 1e9);
        }
        connection.shutdownNow();
    }

    /** Makes one call, and fails unless all of it came. */
    private static void call(Channel channel, String name) throws Exception {
        MethodDescriptor<byte[], byte[]> method =
                MethodDescriptor.<byte[], byte[]>newBuilder(new Raw(), new Raw())
                        .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
                        .setFullMethodName("bench.Bench/" + name)
                        .build();
        BlockingClientCall<byte[], byte[]> call =
                ClientCalls.blockingBidiStreamingCall(channel, method, CallOptions.DEFAULT);
        byte[] message = new byte[MESSAGE];
        for (int said = 0; name.equals("Upload") && said < MESSAGES; said++) {
            if (!call.write(message)) {
                throw new IllegalStateException("it has ended after " + said + " messages");
            }
        }
        call.halfClose();
        long came = 0;
        for (byte[] more = call.read(); more != null; more = call.read()) {
            came += more.length;
        }
        if (name.equals("Download") && came != (long) MESSAGES * MESSAGE) {
            throw new IllegalStateException(came + " bytes came");
        }
    }
}
