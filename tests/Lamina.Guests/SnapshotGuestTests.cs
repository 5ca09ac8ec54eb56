using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>
/// A Debian guest that writes and checks its disk without end is saved meanwhile, in full and once more by its changes, and goes on twice at once: nothing on its disk is lost or done twice, both have
/// the same files, and each has made random numbers of its own (Debian's cloud kernel has no driver for that). A transfer through a network card, too, goes on where it was, and so does a program that writes to
/// a file of a shared folder, which it had open.
/// </summary>
public sealed class SnapshotGuestTests : IDisposable
{
    // Every round writes a piece past the guest's cache, reads it again, and compares.
    private const string Work = """
        n=0
        while :; do
            dd if=/dev/urandom of=/tmp/piece bs=64k count=4 2>/dev/null
            dd if=/tmp/piece of=/dev/vda bs=64k seek=$((n % 4 * 4)) oflag=direct conv=notrunc 2>>/tmp/log || echo $n cannot be written >>/tmp/bad
            dd if=/dev/vda of=/tmp/again bs=64k skip=$((n % 4 * 4)) count=4 iflag=direct 2>>/tmp/log || echo $n cannot be read >>/tmp/bad
            cmp /tmp/piece /tmp/again 2>>/tmp/bad || echo $n differs >>/tmp/bad
            n=$((n + 1))
            echo $n >/tmp/count.new
            mv /tmp/count.new /tmp/count
        done
        """;

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-busy").FullName;
    private readonly Dictionary<string, string> _environment;

    public SnapshotGuestTests()
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
        foreach (string name in (string[])["box", "one", "two"])
        {
            LaminaProcess.Run(null, _environment, "kill", name);
        }

        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_busy_guest_goes_on_twice_with_its_files_and_other_random_numbers()
    {
        GuestImages.Get(DebianImage.Generic);
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        Run("run", "debian-generic", "--detach", "--name", "box", "--memory", "256M", "--disk", disk);
        Execute("box", $"echo kept >/tmp/file; echo 0 >/tmp/count; setsid sh -c '{Work}' </dev/null >/dev/null 2>&1 &");
        WaitForRounds("box", 3);
        string full = Path.Combine(_directory, "full");
        string changes = Path.Combine(_directory, "changes");
        Run("snapshot", "box", full);
        WaitForRounds("box", 3);
        Run("snapshot", "box", changes, "--base", full);
        long size = GetAllocated(Path.Combine(changes, "memory.bin"));
        Assert.True(size < GetAllocated(Path.Combine(full, "memory.bin")) / 2, $"the changes take {size} bytes");
        WaitForRounds("box", 1);

        string[] numbers = [.. ((string[])["one", "two"]).Select(name =>
        {
            Run("restore", changes, "--detach", "--verify", "--name", name);
            Assert.Equal("kept\n", Execute(name, "cat /tmp/file"));
            WaitForRounds(name, 3);
            Assert.Equal("1\n", Execute(name, "dmesg | grep -c 'crng reseeded due to virtual machine fork'"));
            return Execute(name, "od -An -tx1 -N16 /dev/urandom");
        })];
        Assert.NotEqual(numbers[0], numbers[1]);
        foreach (string name in (string[])["box", "one", "two"])
        {
            Assert.Equal("", Execute(name, "cat /tmp/bad 2>/dev/null; true"));
            IReadOnlyList<string> complaints = KernelComplaints.Find(Execute(name, "dmesg"));
            Assert.True(complaints.Count == 0, $"The kernel of '{name}' complains:\n{string.Join('\n', complaints)}");
        }
    }

    [Fact]
    public async Task A_transfer_that_runs_goes_on_in_the_restored_machine_with_its_disk_at_work()
    {
        const string Tap = "laminatest2";
        Assert.SkipUnless(Tool("ip", "tuntap", "add", Tap, "mode", "tap") == 0, "This host does not let the test make a tap interface.");
        try
        {
            Assert.Equal(0, Tool("ip", "addr", "add", "198.18.79.1/24", "dev", Tap));
            Assert.Equal(0, Tool("ip", "link", "set", Tap, "up"));
            GuestImages.Get(DebianImage.Cloud);
            string disk = Path.Combine(_directory, "disk.raw");
            File.WriteAllBytes(disk, new byte[1 << 20]);
            string folder = Directory.CreateDirectory(Path.Combine(_directory, "folder")).FullName;
            Run("run", "debian", "--detach", "--name", "box", "--memory", "256M", "--disk", disk, "--net", $"tap={Tap}", "--share", $"{folder}:/src");
            Execute("box", $"echo 0 >/tmp/count; setsid sh -c '{Work}' </dev/null >/dev/null 2>&1 &");
            Execute("box", "(exec 3>/src/log; n=0; while :; do n=$((n + 1)); echo $n >&3 || echo line $n >>/tmp/bad; echo $n >/tmp/lines; sleep 0.05; done) </dev/null >/dev/null 2>&1 &");
            WaitForRounds("box", 1);
            using TcpListener listener = new(IPAddress.Parse("198.18.79.1"), 0);
            listener.Start();
            TaskCompletionSource under = new(TaskCreationOptions.RunContinuationsAsynchronously);
            TaskCompletionSource paused = new(TaskCreationOptions.RunContinuationsAsynchronously);
            Task<byte[]> served = ServeAsync(listener, under, paused.Task);
            int port = ((IPEndPoint)listener.LocalEndpoint).Port;
            Execute("box", string.Create(CultureInfo.InvariantCulture, $"ip addr add 198.18.79.2/24 dev eth0; ip link set eth0 up; (nc 198.18.79.1 {port} </dev/null | sha256sum >/tmp/sum.new; mv /tmp/sum.new /tmp/sum) >/dev/null 2>&1 &"));
            await under.Task.WaitAsync(TimeSpan.FromMinutes(2), TestContext.Current.CancellationToken);
            Run("pause", "box");
            paused.SetResult();
            string snapshot = Path.Combine(_directory, "moving");
            Run("snapshot", "box", snapshot);
            Run("kill", "box");
            LaminaResult refused = LaminaProcess.Run(null, _environment, "restore", snapshot, "--detach", "--name", "one");
            Assert.Equal(125, refused.Status);
            Assert.Contains($"the network interface '{Tap}', the directory '{folder}'", refused.Error, StringComparison.Ordinal);
            Run("restore", snapshot, "--detach", "--name", "one", "--allow-host-paths");
            string sum = Execute("one", "until [ -e /tmp/sum ]; do sleep 0.1; done; cat /tmp/sum");
            Assert.Equal($"{Convert.ToHexStringLower(await served)}  -\n", sum);
            WaitForRounds("one", 2);
            Execute("one", "end=$(($(cat /tmp/lines) + 3)); until [ $(cat /tmp/lines) -ge $end ]; do sleep 0.1; done");
            Assert.Equal("", Execute("one", "cat /tmp/bad 2>/dev/null; true"));
            Run("kill", "one");
            string[] lines = File.ReadAllLines(Path.Combine(folder, "log"));
            Assert.Equal(Enumerable.Range(1, lines.Length).Select(static n => n.ToString(CultureInfo.InvariantCulture)), lines);
        }
        finally
        {
            Tool("ip", "link", "del", Tap);
        }
    }

    [Theory]
    [InlineData("kvm", "vda")]
    [InlineData("vmware", "sda")]
    [InlineData("hyperv", "sda")]
    [InlineData("xen", "xvda")]
    public void Fio_finds_what_it_wrote_in_a_machine_that_was_saved_meanwhile_and_in_its_copy(string personality, string name)
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("LAMINA_SNAPSHOT_FIO") != null, "It takes minutes. Set LAMINA_SNAPSHOT_FIO to have it run.");
        Assert.SkipUnless(File.Exists("/usr/bin/fio"), "'fio' is not installed.");
        GuestImages.Get(DebianImage.Cloud);
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[32 << 20]);

        // The host's programs, of which the guest has many files open.
        Run("run", "debian", "--detach", "--name", "box", "--memory", "256M", "--personality", personality, "--disk", disk, "--share", "/:/host:ro");
        Execute("box", "mount -t devtmpfs none /host/dev && mount -t proc none /host/proc && mount -t tmpfs none /host/tmp");
        string fio = $"fio --name=v --filename=/dev/{name} --rw=randwrite --bs=4k --size=32M --iodepth=16 --ioengine=libaio --direct=1 --loops=16 --verify=crc32c --verify_fatal=1 --verify_backlog=256";
        Execute("box", $"(chroot /host sh -c 'cd /tmp && exec {fio}' >/tmp/output 2>&1; echo $? >/tmp/status) </dev/null >/dev/null 2>&1 &");
        Execute("box", $"until [ $(awk '{{print $7}}' /sys/block/{name}/stat) -gt 8192 ]; do sleep 0.1; done");
        string snapshot = Path.Combine(_directory, "saved");
        Run("snapshot", "box", snapshot);
        Assert.NotEqual("", Execute("box", "[ -e /tmp/status ] || echo at work"));
        Run("restore", snapshot, "--detach", "--name", "one", "--allow-host-paths");
        foreach (string machine in (string[])["box", "one"])
        {
            Assert.Equal("0\n", Execute(machine, "until [ -e /tmp/status ]; do sleep 0.2; done; cat /tmp/status; [ $(cat /tmp/status) = 0 ] || cat /tmp/output"));
        }
    }

    // However fast the guest takes it, it is not over before the machine is paused: as much comes behind that as before. The answer is the digest of it all.
    private static async Task<byte[]> ServeAsync(TcpListener listener, TaskCompletionSource under, Task paused)
    {
        const int PieceLength = 64 << 10;
        const int LeastPieces = 64;
        byte[] piece = new byte[PieceLength];
        using IncrementalHash digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using TcpClient client = await listener.AcceptTcpClientAsync();
        client.SendBufferSize = PieceLength;
        int last = LeastPieces;
        for (int sent = 1; !paused.IsCompleted || sent <= last; sent++)
        {
            RandomNumberGenerator.Fill(piece);
            digest.AppendData(piece);
            await client.GetStream().WriteAsync(piece);
            if (sent >= LeastPieces)
            {
                under.TrySetResult();
            }

            last = paused.IsCompleted ? last : sent + LeastPieces;
        }

        return digest.GetHashAndReset();
    }

    private static int Tool(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }

    // The blocks that the file has.
    private static long GetAllocated(string path)
    {
        using Process stat = Process.Start(new ProcessStartInfo("stat", ["-c", "%b", path]) { RedirectStandardOutput = true })!;
        return long.Parse(stat.StandardOutput.ReadToEnd(), CultureInfo.InvariantCulture) * 512;
    }

    private void WaitForRounds(string name, int rounds) =>
        Execute(name, string.Create(CultureInfo.InvariantCulture, $"end=$(($(cat /tmp/count) + {rounds})); until [ $(cat /tmp/count) -ge $end ]; do sleep 0.1; done"));

    private string Execute(string name, string script)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, "exec", name, "--", "sh", "-c", script);
        Assert.True(result.Status is 0 or 1, $"'{script}' ended with {result.Status} in '{name}': {result.Text}{result.Error}");
        return result.Text;
    }

    private void Run(params string[] arguments)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, arguments);
        Assert.True(result.Status == 0, $"lamina {string.Join(' ', arguments)} ended with {result.Status}:\n{result.Text}\n{result.Error}");
    }
}
