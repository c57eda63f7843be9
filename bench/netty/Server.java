import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2FrameCodecBuilder;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2MultiplexHandler;
import io.netty.util.ReferenceCountUtil;
import java.io.OutputStream;
import java.net.InetSocketAddress;

/** Netty's HTTP/2 server as it comes: 200 resets in 30 seconds end a connection. */
public final class Server {
    public static void main(String[] args) throws Exception {
        var connections = new ChannelInitializer<Channel>() {
            @Override
            protected void initChannel(Channel connection) {
                var streams = new ChannelInitializer<Channel>() {
                    @Override
                    protected void initChannel(Channel stream) {
                        stream.pipeline().addLast(new Call());
                    }
                };
                var codec = Http2FrameCodecBuilder.forServer().build();
                connection.pipeline().addLast(codec, new Http2MultiplexHandler(streams));
            }
        };
        var listener = new ServerBootstrap()
                .group(new NioEventLoopGroup(2))
                .channel(NioServerSocketChannel.class)
                .childOption(ChannelOption.TCP_NODELAY, true)
                .childHandler(connections)
                .bind("127.0.0.1", 0).sync().channel();
        System.out.println("listening 127.0.0.1:" + ((InetSocketAddress) listener.localAddress()).getPort());
        System.in.transferTo(OutputStream.nullOutputStream());
        System.exit(0);
    }

    /** Echoes, answers with a head alone, or not at all, by the last part of the path. */
    private static final class Call extends ChannelInboundHandlerAdapter {
        private final ByteBuf body = Unpooled.buffer();
        private String path = "";

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            if (message instanceof Http2HeadersFrame) {
                path = ((Http2HeadersFrame) message).headers().path().toString();
                if (path.endsWith("/Head")) {
                    context.writeAndFlush(head());
                }
            } else if (message instanceof Http2DataFrame) {
                body.writeBytes(((Http2DataFrame) message).content());
                if (((Http2DataFrame) message).isEndStream() && path.endsWith("/Echo")) {
                    var trailers = new DefaultHttp2Headers().set("grpc-status", "0");
                    context.write(head());
                    context.write(new DefaultHttp2DataFrame(body));
                    context.writeAndFlush(new DefaultHttp2HeadersFrame(trailers, true));
                }
            }
            ReferenceCountUtil.release(message);
        }

        private static DefaultHttp2HeadersFrame head() {
            var headers = new DefaultHttp2Headers().status("200").set("content-type", "application/grpc");
            return new DefaultHttp2HeadersFrame(headers);
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            context.close();
        }
    }
}
