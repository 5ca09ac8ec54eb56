using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Lamina.Guests.Processes;

/// <summary>A server on the host that answers each request with the same content, for guests that fetch it.</summary>
internal static class ContentServer
{
    /// <summary>Serves until the listener stops.</summary>
    public static async Task ServeAsync(TcpListener listener, byte[] content)
    {
        try
        {
            while (true)
            {
                using TcpClient client = await listener.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
                NetworkStream stream = client.GetStream();
                await stream.ReadAtLeastAsync(new byte[4096], 1, cancellationToken: TestContext.Current.CancellationToken);
                await stream.WriteAsync(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"HTTP/1.0 200 OK\r\nContent-Length: {content.Length}\r\n\r\n")), TestContext.Current.CancellationToken);
                await stream.WriteAsync(content, TestContext.Current.CancellationToken);
            }
        }
        catch (SocketException)
        {
            // The test has ended.
        }
    }
}
