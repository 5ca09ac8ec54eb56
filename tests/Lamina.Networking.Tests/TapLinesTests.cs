using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Lamina.Machine.Backends;

namespace Lamina.Networking.Tests;

/// <summary>A tap interface with two lines: where connections go, and what a line that is out of use gets. Takes an interface of the host.</summary>
public sealed class TapLinesTests : IDisposable
{
    private const string Name = "laminatest2";
    private const string Address = "198.18.79.1";
    private const string Neighbour = "198.18.79.2";
    private const int Connections = 64;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly IReadOnlyList<TapNetwork> _lines = [];
    private readonly Receiver[] _receivers = [new(), new()];

    public TapLinesTests()
    {
        try
        {
            _lines = TapNetwork.Open(Name, 2);
        }
        catch (NetworkException e)
        {
            Assert.Skip($"This host does not let the test make a tap interface: {e.Message}");
        }

        for (int i = 0; i < 2; i++)
        {
            _lines[i].SetReceiver(_receivers[i]);
            _lines[i].Start();
        }
    }

    public void Dispose()
    {
        foreach (TapNetwork line in _lines)
        {
            line.Dispose();
        }
    }

    [Fact]
    public void ALineThatIsOutOfUseGetsNothingAndTheOthersAll()
    {
        Assert.SkipUnless(Run("addr", "add", $"{Address}/24", "dev", Name), "'ip' is not installed (package iproute2).");
        Assert.True(Run("link", "set", Name, "up"), "The interface does not go up.");
        Assert.True(Run("neigh", "add", Neighbour, "lladdr", "02:00:00:00:00:02", "dev", Name), "The neighbour cannot be made known.");
        for (int round = 0; round < 3; round++)
        {
            (int first, int second) = Send();
            Assert.True(first > 0 && second > 0, $"Round {round}: of {Connections} connections, {first} came on the first line and {second} on the second.");
            _lines[1].SetEnabled(false);
            Assert.Equal((Connections, 0), Send());
            _lines[1].SetEnabled(true);
        }

        // A line that is out of use when the interface goes tells so when it is wanted.
        _lines[1].SetEnabled(false);
        Assert.True(Run("link", "del", Name), "The interface cannot be taken away.");
        Assert.True(_receivers[0].Lost.Wait(Patience), "The first line does not tell that the interface is gone.");
        Assert.False(_receivers[1].Lost.IsSet, "A line that is out of use tells of it.");
        _lines[1].SetEnabled(true);
        Assert.True(_receivers[1].Lost.Wait(Patience), "The second line does not tell that the interface is gone.");
    }

    // Sends one packet of each of many connections.
    private (int First, int Second) Send()
    {
        foreach (Receiver receiver in _receivers)
        {
            receiver.Ports.Clear();
        }

        using UdpClient client = new(new IPEndPoint(IPAddress.Parse(Address), 0));
        for (int i = 0; i < Connections; i++)
        {
            client.Send(new byte[20], new IPEndPoint(IPAddress.Parse(Neighbour), 2000 + i));
        }

        Assert.True(
            SpinWait.SpinUntil(() => _receivers.Sum(static r => r.Ports.Count) == Connections, Patience),
            string.Create(CultureInfo.InvariantCulture, $"{_receivers[0].Ports.Count} and {_receivers[1].Ports.Count} of {Connections} packets arrived."));
        return (_receivers[0].Ports.Count, _receivers[1].Ports.Count);
    }

    private static bool Run(params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private sealed class Receiver : INetworkReceiver
    {
        private const int Protocol = INetworkBackend.HeaderLength + 14 + 9;
        private const int DestinationPort = INetworkBackend.HeaderLength + 14 + 20 + 2;

        public ConcurrentDictionary<int, bool> Ports { get; } = [];

        public ManualResetEventSlim Lost { get; } = new();

        public bool TryReceive(ReadOnlySpan<byte> packet)
        {
            int port = packet.Length > DestinationPort + 1 && packet[Protocol] == 17 ? (packet[DestinationPort] << 8) | packet[DestinationPort + 1] : 0;
            if (port is >= 2000 and < 2000 + Connections)
            {
                Ports[port] = true;
            }

            return true;
        }

        public void OnTransmitReady()
        {
        }

        public void OnLinkChanged(bool up) => Lost.Set();
    }
}
