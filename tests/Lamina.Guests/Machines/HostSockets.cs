using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Lamina.Guests.Machines;

/// <summary>The host's side of a guest's sockets, at the path of <c>--vsock</c>.</summary>
internal static class HostSockets
{
    /// <summary>How long a test waits for a byte, in milliseconds.</summary>
    public const int Patience = 120_000;

    /// <summary>Sends all of it, and ends the sending.</summary>
    public static void SendAll(Socket socket, byte[] content)
    {
        int sent = 0;
        while (sent < content.Length)
        {
            sent += socket.Send(content.AsSpan(sent));
        }

        socket.Shutdown(SocketShutdown.Send);
    }

    /// <summary>Receives until the end.</summary>
    public static byte[] ReadToEnd(Socket socket)
    {
        using MemoryStream content = new();
        byte[] part = new byte[1 << 16];
        try
        {
            for (int count = socket.Receive(part); count > 0; count = socket.Receive(part))
            {
                content.Write(part, 0, count);
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // What was not read before the end came.
        }

        return content.ToArray();
    }

    /// <summary>Connects to a machine's socket.</summary>
    public static Socket Connect(string address)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = Patience, SendTimeout = Patience };
        socket.Connect(new UnixDomainSocketEndPoint(address));
        return socket;
    }

    /// <summary>Connects to a port of its guest.</summary>
    public static Socket Dial(string address, int port)
    {
        Socket socket = Connect(address);
        socket.Send(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"CONNECT {port}\n")));
        byte[] character = new byte[1];
        StringBuilder line = new();
        while (socket.Receive(character) == 1 && character[0] != '\n')
        {
            line.Append((char)character[0]);
        }

        Assert.Matches(@"^OK \d+$", line.ToString());
        return socket;
    }
}
