using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Lamina.Guests.Processes;

/// <summary>Servers on the host: one sends the content to whoever connects, one takes what comes, and iperf3.</summary>
internal sealed class HostSide : IDisposable
{
    private readonly TcpListener _sender = new(IPAddress.Loopback, 0);
    private readonly TcpListener _receiver = new(IPAddress.Loopback, 0);
    private readonly Process _iperf3;

    /// <summary>Starts them.</summary>
    public HostSide(byte[] content)
    {
        _sender.Start();
        _receiver.Start();
        MeasuringPort = GetFreePort();
        _iperf3 = Process.Start(new ProcessStartInfo("iperf3", ["-s", "--forceflush", "-p", MeasuringPort.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true })!;
        Assert.NotNull(_iperf3.StandardOutput.ReadLine());
        _ = SendAsync(content);
    }

    /// <summary>Where the content comes from.</summary>
    public int SendingPort => ((IPEndPoint)_sender.LocalEndpoint).Port;

    /// <summary>Where what comes is taken.</summary>
    public int ReceivingPort => ((IPEndPoint)_receiver.LocalEndpoint).Port;

    /// <summary>Where iperf3 listens.</summary>
    public int MeasuringPort { get; }

    /// <summary>Takes what so many programs send, all at once, and says how many bytes each has sent, and their digest.</summary>
    public async Task<string[]> TakeDigestsAsync(int count)
    {
        Task<string>[] digests = new Task<string>[count];
        for (int i = 0; i < count; i++)
        {
            digests[i] = TakeDigestAsync(await _receiver.AcceptTcpClientAsync(TestContext.Current.CancellationToken));
        }

        return await Task.WhenAll(digests);
    }

    public void Dispose()
    {
        _iperf3.Kill();
        _iperf3.WaitForExit();
        _iperf3.Dispose();
        _sender.Dispose();
        _receiver.Dispose();
    }

    private async Task SendAsync(byte[] content)
    {
        try
        {
            while (true)
            {
                TcpClient client = await _sender.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
                _ = SendAsync(client, content);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The test has ended.
        }
    }

    private static async Task<string> TakeDigestAsync(TcpClient client)
    {
        using (client)
        {
            using MemoryStream content = new();
            await client.GetStream().CopyToAsync(content, TestContext.Current.CancellationToken);
            return string.Create(CultureInfo.InvariantCulture, $"{content.Length} {Convert.ToHexStringLower(SHA256.HashData(content.ToArray()))}");
        }
    }

    private static async Task SendAsync(TcpClient client, byte[] content)
    {
        using (client)
        {
            await client.GetStream().WriteAsync(content, TestContext.Current.CancellationToken);
        }
    }

    private static int GetFreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
