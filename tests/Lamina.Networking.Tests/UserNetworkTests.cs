namespace Lamina.Networking.Tests;

/// <summary>How passt is started, and what is said when it cannot be.</summary>
public sealed class UserNetworkTests
{
    [Fact]
    public void PublishedPortsAreHandedOn()
    {
        List<string> arguments = UserNetwork.CreateArguments(7, [new PublishedPort(null, 8080, 80, false), new PublishedPort("127.0.0.1", 5353, 53, true)]);
        Assert.Equal("--fd 7 --tcp-ports 8080:80 --udp-ports 127.0.0.1/5353:53", string.Join(' ', arguments.Skip(3)));
    }

    [Fact]
    public void ItStartsAndEnds()
    {
        SkipWithoutPasst();
        using UserNetwork network = UserNetwork.Start([]);
        Assert.Equal(65520, network.MaximumTransmissionUnit);
    }

    [Fact]
    public void OneThatEndsIsTold()
    {
        SkipWithoutPasst();
        using Wire wire = new();
        using UserNetwork network = UserNetwork.Start([]);
        network.Notice = wire.Notices.Add;
        network.SetReceiver(wire);
        network.Start();
        System.Diagnostics.Process.GetProcessById(FindPasst()).Kill();
        Assert.True(wire.Notices.TryTake(out string? notice, Wire.Patience), "Nobody was told that passt has ended.");
        Assert.StartsWith("passt has ended", notice, StringComparison.Ordinal);
        Assert.EndsWith(": the guest's link is down", notice, StringComparison.Ordinal);
        Assert.True(wire.Links.TryTake(out bool up, Wire.Patience), "The guest's link did not change.");
        Assert.False(up);
    }

    [Fact]
    public void APortInUseIsSaid()
    {
        SkipWithoutPasst();
        using System.Net.Sockets.TcpListener taken = new(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        ushort port = (ushort)((System.Net.IPEndPoint)taken.LocalEndpoint).Port;
        NetworkException e = Assert.Throws<NetworkException>(() => UserNetwork.Start([new PublishedPort("127.0.0.1", port, 80, false)]));
        Assert.Contains("in use", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnInterfaceThatCannotBeHadIsNamed()
    {
        NetworkException e = Assert.Throws<NetworkException>(() => TapNetwork.Open("lo", 1));
        Assert.Contains("'lo'", e.Message, StringComparison.Ordinal);
        Assert.Contains("'no-such-bridge'", Assert.Throws<NetworkException>(() => TapNetwork.OpenOnBridge("no-such-bridge", 1)).Message, StringComparison.Ordinal);
    }

    private static void SkipWithoutPasst()
    {
        bool there = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "passt")));
        Assert.SkipUnless(there, "'passt' is not installed (package passt).");
    }

    // The one that this process has started.
    private static int FindPasst()
    {
        string parent = Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture);
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            try
            {
                // Between the parentheses is its name, which may be that of the program from which it began; the second word after them is its parent.
                if (int.TryParse(Path.GetFileName(directory), out int id) && File.ReadAllText(Path.Combine(directory, "stat")).Split(')')[^1].Split(' ')[2] == parent
                    && File.ReadAllText(Path.Combine(directory, "cmdline")).StartsWith("passt", StringComparison.Ordinal))
                {
                    return id;
                }
            }
            catch (IOException)
            {
                // It has just ended.
            }
        }

        throw new InvalidOperationException("passt does not run.");
    }

    private sealed class Wire : Machine.Backends.INetworkReceiver, IDisposable
    {
        public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

        public System.Collections.Concurrent.BlockingCollection<string> Notices { get; } = [];

        public System.Collections.Concurrent.BlockingCollection<bool> Links { get; } = [];

        public bool TryReceive(ReadOnlySpan<byte> packet) => true;

        public void OnTransmitReady()
        {
        }

        public void OnLinkChanged(bool up) => Links.Add(up);

        public void Dispose()
        {
            Notices.Dispose();
            Links.Dispose();
        }
    }
}
