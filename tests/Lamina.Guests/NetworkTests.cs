using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Networking;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's driver on a network card: an address, packets of all sizes both ways, and ports of the host that lead to the guest.</summary>
public sealed class NetworkTests
{
    [Theory]
    [MemberData(nameof(AcceleratorData.All), MemberType = typeof(AcceleratorData))]
    public async Task Through_passt_the_guest_reaches_the_host_and_is_reached(string accelerator)
    {
        SkipWithout("passt", "package passt");
        ushort port = GetFreePort();
        byte[] content = RandomNumberGenerator.GetBytes(3 << 20);
        using TcpListener host = new(IPAddress.Any, 0);
        host.Start();
        Task served = ServeAsync(host, content);
        NetworkSettings network = new() { PublishedPorts = [new PublishedPort("127.0.0.1", port, 80, false)] };
        using GuestMachine guest = GuestMachine.StartDebian(accelerator, 1, GuestHardware.Network, s => s with { Networks = [network] });
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1");
        Assert.Matches(@"^\d+\.\d+\.\d+\.\d+$", guest.Run("ip -4 addr show eth0 | awk '/inet /{sub(\"/.*\", \"\", $2); print $2}'"));
        Assert.Equal("65520", guest.Run("cat /sys/class/net/eth0/mtu"));

        // The host's own addresses are behind the gateway.
        int hostPort = ((IPEndPoint)host.LocalEndpoint).Port;
        string fetched = guest.Run(string.Create(CultureInfo.InvariantCulture, $"wget -q -O - http://$(ip route | awk '/^default/{{print $3}}'):{hostPort}/ | sha256sum"));
        Assert.Equal($"{Convert.ToHexStringLower(SHA256.HashData(content))}  -", fetched);
        await served;

        guest.Run("mkdir /tmp/www; dd if=/dev/urandom of=/tmp/www/data bs=64k count=32 2>/dev/null; httpd -p 80 -h /tmp/www");
        string sum = guest.Run("sha256sum </tmp/www/data").Split(' ')[0];
        using HttpClient client = new() { Timeout = TimeSpan.FromMinutes(2) };
        byte[] got = await client.GetByteArrayAsync(new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/data")), TestContext.Current.CancellationToken);
        Assert.Equal(sum, Convert.ToHexStringLower(SHA256.HashData(got)));
        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }

    [Fact]
    public async Task Through_a_tap_with_two_lines_packets_keep_their_content_with_offloads()
    {
        SkipWithout("ip", "package iproute2");
        const string Name = "laminatest0";
        Assert.SkipUnless(Run("ip", "tuntap", "add", Name, "mode", "tap", "multi_queue") == 0, "This host does not let the test make a tap interface.");
        try
        {
            Assert.Equal(0, Run("ip", "addr", "add", "198.18.77.1/24", "dev", Name));
            Assert.Equal(0, Run("ip", "link", "set", Name, "up"));
            byte[] content = RandomNumberGenerator.GetBytes(6 << 20);
            using TcpListener host = new(IPAddress.Parse("198.18.77.1"), 0);
            host.Start();
            Task served = ServeAsync(host, content);
            NetworkSettings network = new() { Kind = NetworkKind.Tap, Name = Name, QueuePairs = 2 };
            using GuestMachine guest = GuestMachine.StartDebian("translator", 2, GuestHardware.Network, s => s with { Networks = [network] });
            guest.ExpectPrompt();
            guest.Run("dmesg -n 1");
            guest.Run("ip addr add 198.18.77.2/24 dev eth0");
            Assert.Contains("1 packets received", guest.Run("ping -c 1 198.18.77.1"), StringComparison.Ordinal);
            Assert.Contains("1 packets received", guest.Run("ping -c 1 -s 40000 198.18.77.1"), StringComparison.Ordinal);

            // Each processor sends by its own pair of queues, and is answered there.
            Assert.Equal("rx-0 rx-1 tx-0 tx-1", guest.Run("echo $(ls /sys/class/net/eth0/queues)"));
            foreach (int processor in (int[])[0, 1])
            {
                int before = CountInterrupts(guest, processor);
                guest.Run(string.Create(CultureInfo.InvariantCulture, $"taskset {1 << processor} ping -c 3 198.18.77.1"));
                int came = CountInterrupts(guest, processor) - before;
                Assert.True(came > 0, $"Pings from processor {processor} are answered on another pair of queues:\n{guest.Run("grep virtio /proc/interrupts")}");
            }

            int port = ((IPEndPoint)host.LocalEndpoint).Port;
            string fetched = guest.Run(string.Create(CultureInfo.InvariantCulture, $"wget -q -O /tmp/data http://198.18.77.1:{port}/; sha256sum </tmp/data"));
            Assert.Equal($"{Convert.ToHexStringLower(SHA256.HashData(content))}  -", fetched);
            await served;

            // And back.
            using TcpListener sink = new(IPAddress.Parse("198.18.77.1"), 0);
            sink.Start();
            Task<byte[]> taken = Task.Run(() => Take(sink));
            guest.Run(string.Create(CultureInfo.InvariantCulture, $"nc 198.18.77.1 {((IPEndPoint)sink.LocalEndpoint).Port} </tmp/data"));
            Assert.Equal(content, await taken.WaitAsync(TimeSpan.FromMinutes(2), TestContext.Current.CancellationToken));

            // The interface is taken away: the guest sees that its link is down, and goes on.
            Assert.Equal(0, Run("ip", "link", "del", Name));
            Assert.Equal("down", guest.Run("until [ \"$(cat /sys/class/net/eth0/operstate)\" = down ]; do sleep 0.1; done; cat /sys/class/net/eth0/operstate"));
            Assert.Equal("1", guest.Run("ping -c 1 -W 1 198.18.77.1 >/dev/null 2>&1; echo $?"));
            guest.Type("exit\r");
            Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        }
        finally
        {
            Run("ip", "link", "del", Name);
        }
    }

    // Interrupts of a receive queue.
    private static int CountInterrupts(GuestMachine guest, int pair)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"input.{pair}$");
        return int.Parse(guest.Run($"awk '/{name}/{{print $2 + $3}}' /proc/interrupts"), CultureInfo.InvariantCulture);
    }

    private static byte[] Take(TcpListener listener)
    {
        using TcpClient client = listener.AcceptTcpClient();
        using MemoryStream all = new();
        client.GetStream().CopyTo(all);
        return all.ToArray();
    }

    private static async Task ServeAsync(TcpListener listener, byte[] content)
    {
        using TcpClient client = await listener.AcceptTcpClientAsync();
        NetworkStream stream = client.GetStream();
        byte[] request = new byte[4096];
        _ = await stream.ReadAsync(request);
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"HTTP/1.0 200 OK\r\nContent-Length: {content.Length}\r\n\r\n")));
        await stream.WriteAsync(content);
    }

    private static ushort GetFreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return (ushort)((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }

    private static void SkipWithout(string program, string package)
    {
        string path = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";
        Assert.SkipUnless(path.Split(':').Any(d => File.Exists(Path.Combine(d, program))), $"'{program}' is not installed ({package}).");
    }
}
