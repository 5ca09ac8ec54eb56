using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text.Json;
using Lamina.Interop.Processes;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Control;

/// <summary>
/// Serves a machine's control socket: a thread for each connection, as many as <see cref="ControlProtocol.MaximumConnections"/>. Only processes of the machine's user, and of root, are
/// heard. Whatever they send, the machine goes on.
/// </summary>
internal sealed class ControlServer : IDisposable
{
    private const int SocketLevel = 1;
    private const int PeerCredentials = 17;
    private const int CredentialsLength = 12;
    private const int UserOffset = 4;
    private static readonly TimeSpan SendTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LastAnswersTimeout = TimeSpan.FromSeconds(2);
    private readonly Dictionary<string, IControlVerb> _verbs;
    private readonly Socket _listener;
    private readonly object _gate = new();
    private readonly HashSet<ControlChannel> _channels = [];
    private int _working;
    private bool _closed;

    /// <summary>Listens.</summary>
    /// <exception cref="LaminaException">There cannot be a socket at that path.</exception>
    public ControlServer(string path, IEnumerable<IControlVerb> verbs)
    {
        _verbs = verbs.ToDictionary(static v => v.Name, StringComparer.Ordinal);
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            _listener.Bind(new UnixDomainSocketEndPoint(path));
            _listener.Listen();
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            _listener.Dispose();
            throw new LaminaException($"there can be no control socket at '{path}': {e.Message}", e);
        }

        new Thread(Accept) { IsBackground = true, Name = "control" }.Start();
    }

    /// <summary>Lets answers that are being given get out, and closes all connections.</summary>
    public void Dispose()
    {
        long end = Environment.TickCount64 + (long)LastAnswersTimeout.TotalMilliseconds;
        ControlChannel[] left;
        lock (_gate)
        {
            _closed = true;
            while (_working > 0 && end - Environment.TickCount64 is var wait and > 0)
            {
                Monitor.Wait(_gate, (int)wait);
            }

            left = [.. _channels];
        }

        _listener.Dispose();
        Array.ForEach(left, static c => c.Abort());
    }

    private static bool IsHeard(Socket connection)
    {
        Span<byte> credentials = stackalloc byte[CredentialsLength];
        if (connection.GetRawSocketOption(SocketLevel, PeerCredentials, credentials) != CredentialsLength)
        {
            return false;
        }

        uint user = BinaryPrimitives.ReadUInt32LittleEndian(credentials[UserOffset..]);
        return user == 0 || user == OwnProcess.User;
    }

    private void Accept()
    {
        while (true)
        {
            Socket connection;
            try
            {
                connection = _listener.Accept();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            try
            {
                if (!TryServe(connection))
                {
                    connection.Dispose();
                }
            }
            catch (SocketException)
            {
                connection.Dispose();
            }
        }
    }

    private bool TryServe(Socket connection)
    {
        if (!IsHeard(connection))
        {
            return false;
        }

        connection.SendTimeout = (int)SendTimeout.TotalMilliseconds;
        ControlChannel channel = new(connection);
        lock (_gate)
        {
            if (_closed || _channels.Count >= ControlProtocol.MaximumConnections)
            {
                return false;
            }

            _channels.Add(channel);
        }

        new Thread(() => Serve(channel)) { IsBackground = true, Name = "control connection" }.Start();
        return true;
    }

    private void Serve(ControlChannel channel)
    {
        try
        {
            while (ServeOne(channel))
            {
            }
        }
        finally
        {
            lock (_gate)
            {
                _channels.Remove(channel);
            }

            channel.Dispose();
        }
    }

    // Whether another request may follow.
    private bool ServeOne(ControlChannel channel)
    {
        ControlRequest? request;
        try
        {
            if (!channel.TryReadLine(out ReadOnlySpan<byte> line))
            {
                return false;
            }

            request = JsonSerializer.Deserialize(line, ControlJson.Default.ControlRequest);
        }
        catch (JsonException e)
        {
            new ControlExchange(channel, new ControlRequest()).Fail(ControlErrors.BadRequest, $"That is no request: {e.Message}");
            return false;
        }
        catch (ControlException e)
        {
            new ControlExchange(channel, new ControlRequest()).Fail(e.Code, e.Message);
            return false;
        }

        ControlExchange exchange = new(channel, request ?? new ControlRequest());
        if (request?.Verb == null)
        {
            exchange.Fail(ControlErrors.BadRequest, "A request has a verb.");
            return false;
        }

        lock (_gate)
        {
            _working++;
        }

        try
        {
            Execute(request, exchange);
        }
        finally
        {
            lock (_gate)
            {
                _working--;
                Monitor.PulseAll(_gate);
            }
        }

        return !exchange.HasStream;
    }

    private void Execute(ControlRequest request, ControlExchange exchange)
    {
        if (request.Version is < 1 or > ControlProtocol.Version)
        {
            exchange.Fail(ControlErrors.UnsupportedVersion, $"Version {request.Version} of the protocol is not spoken here; {ControlProtocol.Version} is.");
            return;
        }

        if (!_verbs.TryGetValue(request.Verb!, out IControlVerb? verb))
        {
            exchange.Fail(ControlErrors.UnknownVerb, $"There is no verb '{request.Verb}'. Verbs: {string.Join(", ", _verbs.Keys.Order(StringComparer.Ordinal))}.");
            return;
        }

        try
        {
            verb.Execute(exchange);
        }
        catch (ControlException e)
        {
            exchange.Fail(e.Code, e.Message);
        }
        catch (Exception e) when (!exchange.IsAnswered)
        {
            // A mistake in a verb is not the machine's end.
            exchange.Fail(ControlErrors.Internal, $"{e.GetType().Name}: {e.Message}");
        }
    }
}
