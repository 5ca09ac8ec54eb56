using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>A Debian guest under Hyper-V's personality that writes and checks its disk without end is saved, and goes on from there with its disk, its card, its balloon, its services and its files.</summary>
public sealed class HyperVSnapshotTests : IDisposable
{
    // Every round writes a piece past the guest's cache, reads it again, and compares.
    private const string Work = """
        n=0
        while :; do
            dd if=/dev/urandom of=/tmp/piece bs=64k count=4 2>/dev/null
            dd if=/tmp/piece of=/dev/sda bs=64k seek=$((n % 4 * 4)) oflag=direct conv=notrunc 2>>/tmp/log || echo $n cannot be written >>/tmp/bad
            dd if=/dev/sda of=/tmp/again bs=64k skip=$((n % 4 * 4)) count=4 iflag=direct 2>>/tmp/log || echo $n cannot be read >>/tmp/bad
            cmp /tmp/piece /tmp/again 2>>/tmp/bad || echo $n differs >>/tmp/bad
            n=$((n + 1))
            echo $n >/tmp/count.new
            mv /tmp/count.new /tmp/count
        done
        """;

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-hyperv").FullName;
    private readonly Dictionary<string, string> _environment;

    public HyperVSnapshotTests()
    {
        _environment = new Dictionary<string, string>
        {
            ["XDG_DATA_HOME"] = LaminaProcess.NoImages,
            ["XDG_RUNTIME_DIR"] = _directory,
            ["XDG_STATE_HOME"] = Path.Combine(_directory, "state"),
        };
    }

    public void Dispose()
    {
        foreach (string name in (string[])["box", "one"])
        {
            LaminaProcess.Run(null, _environment, "kill", name);
        }

        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task A_busy_guest_of_HyperV_goes_on_with_its_disk_its_card_and_its_files()
    {
        Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "passt"))), "'passt' is not installed (package passt).");
        GuestImages.Get(DebianImage.Cloud);
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        string digest = Convert.ToHexStringLower(SHA256.HashData(content));
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ServeAsync(listener, content);
        string fetch = string.Create(CultureInfo.InvariantCulture, $"wget -q -O - http://$(ip route | awk '/^default/{{print $3}}'):{((IPEndPoint)listener.LocalEndpoint).Port}/ | sha256sum");

        Run("run", "debian", "--detach", "--name", "box", "--memory", "256M", "--cpus", "2", "--personality", "hyperv", "--balloon", "16M", "--net", "user", "--disk", disk);
        Execute("box", $"echo kept >/tmp/file; echo 0 >/tmp/count; setsid sh -c '{Work}' </dev/null >/dev/null 2>&1 &");
        Assert.StartsWith(digest, Execute("box", fetch), StringComparison.Ordinal);
        WaitForRounds("box");
        string snapshot = Path.Combine(_directory, "saved");
        Run("snapshot", "box", snapshot);
        WaitForRounds("box");
        Assert.Equal("", Execute("box", "cat /tmp/bad 2>/dev/null; true"));
        Run("kill", "box");

        Run("restore", snapshot, "--detach", "--verify", "--name", "one");
        Assert.Equal("kept\n", Execute("one", "cat /tmp/file"));
        WaitForRounds("one");
        Assert.Equal("", Execute("one", "cat /tmp/bad 2>/dev/null; true"));
        Assert.StartsWith(digest, Execute("one", fetch), StringComparison.Ordinal);
        Assert.Contains("Hypervisor detected: Microsoft Hyper-V", Execute("one", "dmesg"), StringComparison.Ordinal);
        Assert.DoesNotContain("soft lockup", Execute("one", "dmesg"), StringComparison.Ordinal);
        Assert.Equal("2\n", Execute("one", "ls /sys/bus/vmbus/drivers/hv_storvsc/*-*-*-*-*/channels | wc -l"));
        Assert.Matches("^-?[0-5]\n$", Execute("one", string.Create(CultureInfo.InvariantCulture, $"echo $(($(date +%s) - {DateTimeOffset.UtcNow.ToUnixTimeSeconds()}))")));

        // Its services know it still: it stops when it is asked to.
        Run("stop", "one");
        listener.Stop();
        await serving;
    }

    private static async Task ServeAsync(TcpListener listener, byte[] content)
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

    private void WaitForRounds(string name) => Execute(name, "end=$(($(cat /tmp/count) + 3)); until [ $(cat /tmp/count) -ge $end ]; do sleep 0.1; done");

    private string Execute(string name, string script)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, "exec", "--wait", "300", name, "--", "sh", "-c", script);
        Assert.True(result.Status == 0, result.Error);
        return result.Text.ReplaceLineEndings("\n");
    }

    private void Run(params string[] arguments)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, arguments);
        Assert.True(result.Status == 0, result.Error);
    }
}
