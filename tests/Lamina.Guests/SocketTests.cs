using System.Globalization;
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
    private const int Patience = 120_000;
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
            using Socket connection = Dial(5000);
            Task sender = Task.Run(() => SendAll(connection, content), TestContext.Current.CancellationToken);
            Assert.Equal(content, ReadToEnd(connection));
            await sender;
        }

        // At a port at which nobody listens.
        using (Socket refused = Connect())
        {
            refused.Send("CONNECT 5001\n"u8);
            Assert.Empty(ReadToEnd(refused));
        }

        // The host serves.
        using Socket server = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        server.Bind(new UnixDomainSocketEndPoint($"{Address}_80"));
        server.Listen();
        Task<byte[]> served = Task.Run(() =>
        {
            using Socket accepted = server.Accept();
            accepted.ReceiveTimeout = Patience;
            SendAll(accepted, content);
            return ReadToEnd(accepted);
        }, TestContext.Current.CancellationToken);
        guest.Install("/tmp/client", SocketProgram.CreateClient(2, 80, "sha256sum"));
        Assert.Equal("0", guest.Run("/tmp/client; echo $?"));
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(content)), Encoding.ASCII.GetString(await served), StringComparison.Ordinal);
        guest.Install("/tmp/client", SocketProgram.CreateClient(2, 81, "true"));
        Assert.Equal("1", guest.Run("/tmp/client; echo $?"));

        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");

        // A connection that stands when the machine ends.
        using Socket last = Dial(5000);
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        guest.Dispose();
        Assert.False(File.Exists(Address));
        Assert.Empty(ReadToEnd(last));
    }

    private static void SendAll(Socket socket, byte[] content)
    {
        int sent = 0;
        while (sent < content.Length)
        {
            sent += socket.Send(content.AsSpan(sent));
        }

        socket.Shutdown(SocketShutdown.Send);
    }

    private static byte[] ReadToEnd(Socket socket)
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

    private Socket Connect()
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = Patience, SendTimeout = Patience };
        socket.Connect(new UnixDomainSocketEndPoint(Address));
        return socket;
    }

    private Socket Dial(int port)
    {
        Socket socket = Connect();
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
