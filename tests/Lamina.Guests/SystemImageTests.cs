using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Lamina.Cli.Images.Systems;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;
using Lamina.Storage;

namespace Lamina.Guests;

/// <summary>
/// <c>lamina image build debian</c> and <c>lamina run debian</c> with systemd: the default target, an address, a server that the host reaches, a shared folder, fio, and a file system that is
/// clean afterwards. The image is built into the user's cache when it is not there; <c>LAMINA_SYSTEM_DATA</c> names another place, and <c>LAMINA_SYSTEM_TESTS=0</c> leaves the test out.
/// </summary>
public sealed class SystemImageTests : IDisposable
{
    private const string SuiteSwitch = "LAMINA_SYSTEM_SUITE";
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-system").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static string Suite => Environment.GetEnvironmentVariable(SuiteSwitch) ?? "";

    private static string ImageName => Suite.Length == 0 ? "debian" : $"debian:{Suite}";

    /// <summary>Other hypervisors, with <c>LAMINA_SYSTEM_PERSONALITIES=1</c>: minutes each. <c>LAMINA_SYSTEM_SUITE=trixie</c> has them show themselves to another kernel than the stable one.</summary>
    [Theory]
    [InlineData("xen", 1, "translator", "xvda")]
    [InlineData("xen", 4, "translator", "xvda")]
    [InlineData("xen", 1, "interpreter", "xvda")]
    [InlineData("vmware", 1, "translator", "sda")]
    [InlineData("vmware", 4, "translator", "sda")]
    [InlineData("vmware", 1, "interpreter", "sda")]
    [InlineData("hyperv", 1, "translator", "sda")]
    [InlineData("hyperv", 4, "translator", "sda")]
    [InlineData("hyperv", 1, "interpreter", "sda")]
    [InlineData("hyperv", 1, "translator", "sda", "2")]
    [InlineData("hyperv", 4, "translator", "sda", "2")]
    [InlineData("hyperv", 1, "interpreter", "sda", "2")]
    public void Debian_with_systemd_reaches_its_target_under_other_hypervisors(string personality, int processors, string accelerator, string disk, string generation = "1")
    {
        const string PersonalitiesSwitch = "LAMINA_SYSTEM_PERSONALITIES";
        Assert.SkipUnless(Environment.GetEnvironmentVariable(PersonalitiesSwitch) == "1", $"{PersonalitiesSwitch}=1 includes it.");
        Dictionary<string, string> environment = Prepare(ImageName);
        const string Script = "systemctl is-system-running --wait; systemctl --failed --no-legend; systemd-detect-virt; nproc; findmnt -no SOURCE /; ip -4 -o addr show scope global | grep -c inet";
        LaminaResult result = LaminaProcess.Run(
            null, environment, "run", ImageName, "--accel", accelerator, "--personality", personality, "--generation", generation, "--cpus", processors.ToString(CultureInfo.InvariantCulture), "--", "sh", "-c", Script);
        Assert.True(result.Status == 0, result.Error);
        string shown = personality == "hyperv" ? "microsoft" : personality;
        Assert.Equal(string.Create(CultureInfo.InvariantCulture, $"running\n{shown}\n{processors}\n/dev/{disk}\n1\n"), result.Text);
    }

    /// <summary>Another suite, which <c>LAMINA_SYSTEM_SUITE</c> names: minutes.</summary>
    [Fact]
    public void Debian_of_another_suite_reaches_its_target()
    {
        Assert.SkipWhen(Suite.Length == 0, $"{SuiteSwitch}=trixie, or another, includes it.");
        Dictionary<string, string> environment = Prepare(ImageName);
        const string Script = "systemctl is-system-running --wait; systemctl --failed --no-legend; . /etc/os-release; echo $VERSION_CODENAME; ip -4 -o addr show scope global | grep -c inet";
        LaminaResult result = LaminaProcess.Run(null, environment, "run", ImageName, "--", "sh", "-c", Script);
        Assert.True(result.Status == 0, result.Error);
        Assert.Equal($"running\n{Suite}\n1\n", result.Text);
    }

    [Theory]
    [InlineData("translator")]
    public async Task Debian_with_systemd_serves_shares_and_leaves_its_disk_clean(string accelerator)
    {
        Dictionary<string, string> environment = Prepare();
        string data = environment["XDG_DATA_HOME"];
        string share = Directory.CreateDirectory(Path.Combine(_directory, "share")).FullName;
        File.WriteAllText(Path.Combine(share, "question"), "from the host");
        int port = GetFreePort();
        string userData = Path.Combine(_directory, "user-data");
        File.WriteAllText(userData, "#cloud-config\n{}\n");

        // fio is the host's, in a folder that is shared, and writes to the guest's disk. The last line waits until the host has fetched what is served.
        const string Script = """
            set -e
            systemctl is-system-running --wait
            ip -4 -o addr show scope global | grep -c inet
            test "$(cat /src/question)" = 'from the host'
            mkdir /srv/www; cp /src/question /srv/www/; busybox httpd -p 80 -h /srv/www
            mount -o ro /dev/disk/by-label/cidata /mnt
            cat /mnt/user-data /mnt/meta-data
            echo kept >/root/kept
            mount --bind /root /host/mnt; mount --bind /dev /host/dev; mount --bind /proc /host/proc; mount -t tmpfs none /host/tmp
            fio='fio --name=verified --filename=/mnt/verified --size=32M --rw=randwrite --bs=4k-64k --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1'
            chroot /host sh -c "cd /tmp && $fio" >/tmp/fio 2>&1 || { cat /tmp/fio >&2; exit 1; }
            rm /root/verified
            echo 'from the guest' >/src/answer
            until [ -e /src/fetched ]; do sleep 0.2; done
            """;
        string machine = string.Create(CultureInfo.InvariantCulture, $"test{Environment.ProcessId}");
        string disk = new SystemImageStore(Path.Combine(data, "lamina")).GetKeptDisk(SystemImageName.Parse("debian"), machine);
        try
        {
            Task<LaminaResult> run = Task.Run(() => LaminaProcess.Run(
                null, environment, "run", "debian", "--accel", accelerator, "--name", machine, "--persist", "--user-data", userData, "--publish", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}:80"),
                "--share", $"{share}:/src", "--share", "/:/host:ro", "-v", "--", "sh", "-c", Script));
            using FileSystemWatcher watcher = new(share);
            string answer = Path.Combine(share, "answer");
            while (!File.Exists(answer) && !run.IsCompleted)
            {
                watcher.WaitForChanged(WatcherChangeTypes.Created, 1000);
            }

            Assert.False(run.IsCompleted, run.IsCompleted ? (await run).Error : "");
            using HttpClient client = new() { Timeout = TimeSpan.FromMinutes(1) };
            string served = await client.GetStringAsync(new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/question")), TestContext.Current.CancellationToken);
            Assert.Equal("from the host", served);
            File.WriteAllText(Path.Combine(share, "fetched"), "");
            LaminaResult result = await run;
            Assert.True(result.Status == 0, result.Error);
            Assert.Equal($"running\n1\n#cloud-config\n{{}}\ninstance-id: {machine}\nlocal-hostname: {machine}\n", result.Text);
            Assert.Contains("Reached target", result.Error, StringComparison.Ordinal);
            Assert.Contains("reboot: Power down", result.Error, StringComparison.Ordinal);
            Assert.Equal("from the guest\n", File.ReadAllText(answer));

            // What was kept is whole: as the journal leaves a file system that was unmounted.
            string raw = Path.Combine(_directory, "disk.img");
            using (DiskImage kept = DiskImages.Open(disk, null, writable: false))
            {
                DiskImages.Create(raw, DiskFormat.Raw, kept.Length, null);
                using DiskImage copy = DiskImages.Open(raw, DiskFormat.Raw, writable: true);
                DiskCopy.Run(kept, copy);
            }

            (int status, string report) = RunTool("e2fsck", "-fn", raw);
            Assert.True(status == 0, report);
            Assert.Contains("Filesystem state:         clean", RunTool("dumpe2fs", "-h", raw).Output, StringComparison.Ordinal);

            // Typed input, and the disk that was kept.
            LaminaResult second = LaminaProcess.Run(Encoding.ASCII.GetBytes("cat /root/kept\nexit\n"), environment, "run", "debian", "--accel", accelerator, "--name", machine, "--persist", "--net", "none");
            Assert.True(second.Status == 0, second.Error);
            Assert.Contains($"root@{machine}:~# cat /root/kept", second.Text, StringComparison.Ordinal);
            Assert.Contains("\nkept\n", second.Text.ReplaceLineEndings("\n"), StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(disk);
        }
    }

    private static Dictionary<string, string> Prepare(string image = "debian") => SystemImages.Prepare(image, "system-tests", "", "passt", "e2fsck", "fio");

    private static int GetFreePort()
    {
        using TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static (int Status, string Output) RunTool(string tool, params string[] arguments)
    {
        ProcessStartInfo start = new(tool, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";
        start.FileName = start.Environment["PATH"]!.Split(':').Select(d => Path.Combine(d, tool)).FirstOrDefault(File.Exists) ?? tool;
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }
}
