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
        using UserNetwork network = UserNetwork.Start([], _ => { });
        Assert.Equal(65520, network.MaximumTransmissionUnit);
    }

    [Fact]
    public void APortInUseIsSaid()
    {
        SkipWithoutPasst();
        using System.Net.Sockets.TcpListener taken = new(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        ushort port = (ushort)((System.Net.IPEndPoint)taken.LocalEndpoint).Port;
        NetworkException e = Assert.Throws<NetworkException>(() => UserNetwork.Start([new PublishedPort("127.0.0.1", port, 80, false)], _ => { }));
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
}
