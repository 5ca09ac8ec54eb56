using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Lamina.Management.Protocol;

/// <summary>A connection to a machine. One thread.</summary>
public sealed class ControlClient : IDisposable
{
    private readonly Socket _socket;
    private readonly ControlChannel _channel;

    private ControlClient(Socket socket)
    {
        _socket = socket;
        _channel = new ControlChannel(socket);
    }

    /// <summary>Connects to a machine's socket.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="timeout">How long an answer may take; null without end.</param>
    /// <exception cref="ControlException">Nobody is there.</exception>
    public static ControlClient Connect(string path, TimeSpan? timeout = null)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.ReceiveTimeout = (int)(timeout?.TotalMilliseconds ?? 0);
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return new ControlClient(socket);
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket.Dispose();
            throw new ControlException(ControlErrors.NoAnswer, $"nobody listens at '{path}': {e.Message}", e);
        }
    }

    /// <summary>Makes a request and waits for its answer.</summary>
    /// <exception cref="ControlException">It was not done.</exception>
    public TResult Call<TArguments, TResult>(string verb, TArguments arguments, JsonTypeInfo<TArguments> argumentsType, JsonTypeInfo<TResult> resultType)
    {
        ControlResponse response = Exchange(verb, JsonSerializer.SerializeToElement(arguments, argumentsType));
        try
        {
            return response.Result is { } result && result.Deserialize(resultType) is { } value
                ? value
                : throw new ControlException(ControlErrors.NoAnswer, $"the answer to '{verb}' has no result");
        }
        catch (JsonException e)
        {
            throw new ControlException(ControlErrors.NoAnswer, $"the answer to '{verb}' makes no sense: {e.Message}", e);
        }
    }

    /// <summary>Makes a request whose answer says nothing but that it was done.</summary>
    /// <exception cref="ControlException">It was not done.</exception>
    public void Call<TArguments>(string verb, TArguments arguments, JsonTypeInfo<TArguments> argumentsType)
    {
        Exchange(verb, JsonSerializer.SerializeToElement(arguments, argumentsType));
    }

    /// <summary>Makes a request that opens a stream. The connection is the stream's from then on, and is still disposed here.</summary>
    /// <exception cref="ControlException">It was not done.</exception>
    public ControlChannel OpenStream<TArguments>(string verb, TArguments arguments, JsonTypeInfo<TArguments> argumentsType)
    {
        if (!Exchange(verb, JsonSerializer.SerializeToElement(arguments, argumentsType)).Stream)
        {
            throw new ControlException(ControlErrors.NoAnswer, $"'{verb}' did not open a stream");
        }

        _socket.ReceiveTimeout = 0;
        return _channel;
    }

    /// <summary>Reads the answer that ends a request whose stream was opened.</summary>
    /// <exception cref="ControlException">It was not done.</exception>
    public TResult ReadResult<TResult>(JsonTypeInfo<TResult> resultType)
    {
        ControlResponse response = ReadResponse();
        return response.Result is { } result && result.Deserialize(resultType) is { } value ? value : throw new ControlException(ControlErrors.NoAnswer, "the answer has no result");
    }

    /// <inheritdoc/>
    public void Dispose() => _channel.Dispose();

    private ControlResponse Exchange(string verb, JsonElement arguments)
    {
        byte[] request = JsonSerializer.SerializeToUtf8Bytes(new ControlRequest { Verb = verb, Arguments = arguments }, ControlJson.Default.ControlRequest);
        if (!_channel.TryWrite([.. request, (byte)'\n']))
        {
            throw new ControlException(ControlErrors.NoAnswer, "the machine does not answer");
        }

        return ReadResponse();
    }

    private ControlResponse ReadResponse()
    {
        if (!_channel.TryReadLine(out ReadOnlySpan<byte> line))
        {
            throw new ControlException(ControlErrors.NoAnswer, "the machine does not answer");
        }

        ControlResponse? response;
        try
        {
            response = JsonSerializer.Deserialize(line, ControlJson.Default.ControlResponse);
        }
        catch (JsonException e)
        {
            throw new ControlException(ControlErrors.NoAnswer, $"the answer makes no sense: {e.Message}", e);
        }

        return response switch
        {
            { Ok: true } => response,
            { Error: { } error } => throw new ControlException(error.Code ?? "", error.Message ?? ""),
            _ => throw new ControlException(ControlErrors.NoAnswer, "the answer makes no sense"),
        };
    }
}
