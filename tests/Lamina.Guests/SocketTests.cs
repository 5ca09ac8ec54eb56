using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's vsock driver, both ways: a guest that serves the host, and one that the host serves.</summary>
public sealed class SocketTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-vsock").FullName;

    private string Address => Path.Combine(_directory, "guest.sock");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [MemberData(nameof(AcceleratorData.WithProcessors), MemberType = typeof(AcceleratorData))]
    public async Task Connections_carry_data_both_ways(string accelerator, int processors)
    {
        SocketSettings sockets = new() { Address = 42, Path = Address };
        using GuestMachine guest = GuestMachine.StartDebian(accelerator, processors, GuestHardware.Socket, s => s with { Sockets = sockets });
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1");

        // The guest serves: what comes is counted and comes back, so that both directions are full at once.
        guest.Install("/tmp/server", SocketProgram.CreateServer(5000, "exec cat"));
        Assert.Equal("0", guest.Run("/tmp/server; echo $?"));
        byte[] content = RandomNumberGenerator.GetBytes(3 << 20);
        for (int i = 0; i < 3; i++)
        {
            using Socket connection = HostSockets.Dial(Address, 5000);
            Task sender = Task.Run(() => HostSockets.SendAll(connection, content), TestContext.Current.CancellationToken);
            Assert.Equal(content, HostSockets.ReadToEnd(connection));
            await sender;
        }

        // At a port at which nobody listens.
        using (Socket refused = HostSockets.Connect(Address))
        {
            refused.Send("CONNECT 5001\n"u8);
            Assert.Empty(HostSockets.ReadToEnd(refused));
        }

        // The host serves.
        using Socket server = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        server.Bind(new UnixDomainSocketEndPoint($"{Address}_80"));
        server.Listen();
        Task<byte[]> served = Task.Run(() =>
        {
            using Socket accepted = server.Accept();
            accepted.ReceiveTimeout = HostSockets.Patience;
            HostSockets.SendAll(accepted, content);
            return HostSockets.ReadToEnd(accepted);
        }, TestContext.Current.CancellationToken);
        guest.Install("/tmp/client", SocketProgram.CreateClient(2, 80, "sha256sum"));
        Assert.Equal("0", guest.Run("/tmp/client; echo $?"));
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(content)), Encoding.ASCII.GetString(await served), StringComparison.Ordinal);
        guest.Install("/tmp/client", SocketProgram.CreateClient(2, 81, "true"));
        Assert.Equal("1", guest.Run("/tmp/client; echo $?"));

        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");

        // A connection that stands when the machine ends.
        using Socket last = HostSockets.Dial(Address, 5000);
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        guest.Dispose();
        Assert.False(File.Exists(Address));
        Assert.Empty(HostSockets.ReadToEnd(last));
    }
}
