using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Lamina.Cli.Control;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Tests.Control;

/// <summary>Whatever a peer sends, it gets an answer that says what is wrong, or its connection is closed, and the server goes on.</summary>
public sealed class ControlServerTests : IDisposable
{
    private const int PatienceMilliseconds = 30000;
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"lamina-{Guid.NewGuid():N}");
    private readonly ControlServer _server;

    public ControlServerTests()
    {
        _server = new ControlServer(_path, [new EchoVerb(), new StreamVerb(), new FailingVerb()]);
    }

    public void Dispose() => _server.Dispose();

    [Theory]
    [InlineData("""{"verb":"echo","id":7,"arguments":{"accelerator":"x"}}""", """{"version":1,"ok":true,"id":7,"stream":false,"result":{"accelerator":"x"}}""")]
    [InlineData("""{"verb":"echo"}""", """{"version":1,"ok":true,"stream":false,"result":{}}""")]
    [InlineData("""{"version":1,"verb":"echo","arguments":null,"more":[1,{"a":2}]}""", """{"version":1,"ok":true,"stream":false,"result":{}}""")]
    public void A_request_is_answered(string request, string response) => Assert.Equal(response, Ask(request));

    [Theory]
    [InlineData("""{"verb":"nothing"}""", ControlErrors.UnknownVerb)]
    [InlineData("""{"version":2,"verb":"echo"}""", ControlErrors.UnsupportedVersion)]
    [InlineData("""{"version":0,"verb":"echo"}""", ControlErrors.UnsupportedVersion)]
    [InlineData("""{"verb":"echo","arguments":[]}""", ControlErrors.BadArguments)]
    [InlineData("""{"verb":"echo","arguments":{"accelerator":1}}""", ControlErrors.BadArguments)]
    [InlineData("""{"verb":"fail"}""", ControlErrors.Internal)]
    [InlineData("{}", ControlErrors.BadRequest)]
    [InlineData("null", ControlErrors.BadRequest)]
    [InlineData("[]", ControlErrors.BadRequest)]
    [InlineData("", ControlErrors.BadRequest)]
    [InlineData("\0\u0001", ControlErrors.BadRequest)]
    [InlineData("""{"verb":"echo","id":"x"}""", ControlErrors.BadRequest)]
    [InlineData("""{"verb":"echo"} trailing""", ControlErrors.BadRequest)]
    [InlineData("""{"verb":"echo","arguments":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}""", ControlErrors.BadRequest)]
    public void A_wrong_request_is_told_so(string request, string code)
    {
        using JsonDocument response = JsonDocument.Parse(Ask(request));
        Assert.False(response.RootElement.GetProperty("ok").GetBoolean());
        Assert.Equal(code, response.RootElement.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public void A_line_that_is_too_long_is_told_so()
    {
        using Socket socket = Connect();
        Task.Run(() => socket.Send(new byte[100_000])).ContinueWith(_ => { });
        Assert.Contains(ControlErrors.TooLong, ReadLine(socket), StringComparison.Ordinal);
    }

    [Fact]
    public void Requests_follow_each_other_on_one_connection_also_after_a_refusal()
    {
        using Socket socket = Connect();
        socket.Send("{\"verb\":\"echo\",\"id\":1}\n{\"verb\":\"nothing\",\"id\":2}\n{\"verb\":\"echo\",\"id\":3}\n"u8);
        Assert.Contains("\"id\":1", ReadLine(socket), StringComparison.Ordinal);
        Assert.Contains("\"id\":2", ReadLine(socket), StringComparison.Ordinal);
        Assert.Contains("\"ok\":true,\"id\":3", ReadLine(socket), StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_has_what_was_sent_behind_the_request()
    {
        using Socket socket = Connect();
        socket.Send("{\"verb\":\"stream\"}\nhello"u8);
        Assert.Contains("\"stream\":true", ReadLine(socket), StringComparison.Ordinal);
        byte[] back = new byte[5];
        for (int got = 0; got < back.Length;)
        {
            int count = socket.Receive(back.AsSpan(got));
            Assert.NotEqual(0, count);
            got += count;
        }

        Assert.Equal("HELLO", Encoding.ASCII.GetString(back));
    }

    [Fact]
    public void Connections_beyond_the_limit_are_closed_and_the_others_go_on()
    {
        Socket[] many = new Socket[ControlProtocol.MaximumConnections];
        for (int i = 0; i < many.Length; i++)
        {
            many[i] = Connect();
            many[i].Send("{\"verb\":\"echo\"}\n"u8);
            ReadLine(many[i]);
        }

        using Socket beyond = Connect();
        Assert.Equal(0, beyond.Receive(new byte[1]));
        many[0].Send("{\"verb\":\"echo\",\"id\":9}\n"u8);
        Assert.Contains("\"id\":9", ReadLine(many[0]), StringComparison.Ordinal);
        Array.ForEach(many, s => s.Dispose());
    }

    [Fact]
    public void Random_bytes_do_no_harm()
    {
        Random random = new(1);
        byte[] garbage = new byte[300];
        for (int i = 0; i < 200; i++)
        {
            using Socket socket = Connect();
            random.NextBytes(garbage);
            socket.Send(garbage);
        }

        Assert.Contains("\"ok\":true", Ask("""{"verb":"echo"}"""), StringComparison.Ordinal);
    }

    private Socket Connect()
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = PatienceMilliseconds };
        socket.Connect(new UnixDomainSocketEndPoint(_path));
        return socket;
    }

    private string Ask(string request)
    {
        using Socket socket = Connect();
        socket.Send(Encoding.UTF8.GetBytes(request + "\n"));
        return ReadLine(socket);
    }

    private static string ReadLine(Socket socket)
    {
        List<byte> line = [];
        byte[] one = new byte[1];
        while (socket.Receive(one) == 1 && one[0] != (byte)'\n')
        {
            line.Add(one[0]);
        }

        return Encoding.UTF8.GetString([.. line]);
    }

    private sealed class EchoVerb : IControlVerb
    {
        public string Name => "echo";

        public void Execute(ControlExchange exchange) => exchange.Reply(exchange.ReadArguments(ControlJson.Default.ResumeArguments), ControlJson.Default.ResumeArguments);
    }

    private sealed class StreamVerb : IControlVerb
    {
        public string Name => "stream";

        public void Execute(ControlExchange exchange)
        {
            ControlChannel channel = exchange.OpenStream();
            byte[] buffer = new byte[100];
            int count = channel.Read(buffer);
            channel.TryWrite(Encoding.ASCII.GetBytes(Encoding.ASCII.GetString(buffer, 0, count).ToUpperInvariant()));
        }
    }

    private sealed class FailingVerb : IControlVerb
    {
        public string Name => "fail";

        public void Execute(ControlExchange exchange) => throw new InvalidOperationException("as intended");
    }
}
