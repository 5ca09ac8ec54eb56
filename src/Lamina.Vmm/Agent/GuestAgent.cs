using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Lamina.Vmm.Agent;

/// <summary>
/// A guest's agent, seen from the host: runs commands in the guest, any number at once. It is reached through the socket that <see cref="SocketSettings.Path"/> names, from any process
/// that may open that. docs/adr/0018-guest-agent.md has the protocol. Any thread.
/// </summary>
/// <param name="path">The socket of the machine.</param>
public sealed class GuestAgent(string path)
{
    private const int RetryMilliseconds = 50;
    private const int LongestAnswer = 16;
    private const int PatienceMilliseconds = 30_000;

    /// <summary>Whether it answers.</summary>
    public bool IsReady()
    {
        using Socket? socket = TryConnect(AgentProtocol.Port);
        return socket != null;
    }

    /// <summary>Waits until it answers: until the guest has started it.</summary>
    /// <returns>Whether it does; not, if the time ran out or the machine has ended.</returns>
    public async Task<bool> WaitUntilReady(TimeSpan patience, CancellationToken cancellation = default)
    {
        long end = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        while (!await Task.Run(IsReady, cancellation).ConfigureAwait(false))
        {
            if (Environment.TickCount64 >= end || !File.Exists(path))
            {
                return false;
            }

            await Task.Delay(RetryMilliseconds, cancellation).ConfigureAwait(false);
        }

        return true;
    }

    /// <summary>Starts a command.</summary>
    /// <exception cref="GuestAgentException">There is no agent, or it does not take the command.</exception>
    public GuestCommand Start(GuestCommandSettings settings)
    {
        byte[] request = CommandRequest.Create(settings);
        Socket control = Connect(AgentProtocol.Port);
        List<Socket> streams = [];
        try
        {
            SendAll(control, request);
            byte[] port = new byte[sizeof(uint)];
            ReceiveAll(control, port);
            int count = settings.Terminal == null ? 3 : 1;
            while (streams.Count < count)
            {
                streams.Add(Connect(BitConverter.ToUInt32(port)));
            }

            return new GuestCommand(control, [.. streams]);
        }
        catch (Exception e)
        {
            control.Dispose();
            streams.ForEach(s => s.Dispose());
            if (e is SocketException or IOException)
            {
                throw new GuestAgentException("the guest's agent has not taken the command", e);
            }

            throw;
        }
    }

    internal static void ReceiveAll(Socket socket, Span<byte> data)
    {
        while (data.Length > 0)
        {
            int count = socket.Receive(data);
            data = count > 0 ? data[count..] : throw new IOException("the connection has ended");
        }
    }

    internal static void SendAll(Socket socket, ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            data = data[socket.Send(data)..];
        }
    }

    private Socket Connect(uint port)
    {
        return TryConnect(port) ?? throw new GuestAgentException(File.Exists(path) ? "the guest has no agent that answers" : "there is no machine to reach");
    }

    private Socket? TryConnect(uint port)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.ReceiveTimeout = PatienceMilliseconds;
            socket.SendTimeout = PatienceMilliseconds;
            socket.Connect(new UnixDomainSocketEndPoint(path));
            SendAll(socket, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"CONNECT {port}\n")));
            if (IsAccepted(socket))
            {
                socket.ReceiveTimeout = 0;
                socket.SendTimeout = 0;
                return socket;
            }
        }
        catch (SocketException)
        {
            // Nobody is there, or he has gone.
        }

        socket.Dispose();
        return null;
    }

    // The line "OK PORT", and no byte behind it.
    private static bool IsAccepted(Socket socket)
    {
        Span<byte> line = stackalloc byte[LongestAnswer];
        int length = 0;
        while (length < line.Length && socket.Receive(line.Slice(length, 1)) == 1)
        {
            if (line[length++] == (byte)'\n')
            {
                return line.StartsWith("OK "u8);
            }
        }

        return false;
    }
}
