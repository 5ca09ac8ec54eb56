using System.Net.Sockets;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Interop.Files;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Storage;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>
/// A snapshot of each released version of the machine, with every device that can be saved, goes on under each accelerator of this build. <c>LAMINA_GOLDEN=DIRECTORY</c> has
/// <see cref="It_is_made"/> make one of the current version there, with the devices of the hypervisor that <c>LAMINA_GOLDEN_PERSONALITY</c> names, and of the generation that <c>LAMINA_GOLDEN_GENERATION</c> does; it is checked in once, when the version is released, and never changed.
/// </summary>
public sealed class GoldenSnapshotTests : IDisposable
{
    private const string Switch = "LAMINA_GOLDEN";
    private const string PersonalitySwitch = "LAMINA_GOLDEN_PERSONALITY";
    private const string GenerationSwitch = "LAMINA_GOLDEN_GENERATION";
    private const ulong Memory = 4 << 20;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-golden").FullName;
    private readonly List<Socket> _sockets = [];

    public static TheoryData<string, string> Cases
    {
        get
        {
            TheoryData<string, string> cases = [];
            foreach (string version in MachineVersion.All)
            {
                cases.Add(version, "interpreter");
                cases.Add(version, "translator");
                cases.Add(version, "kvm");
            }

            foreach (string personality in (string[])["hyperv", "xen", "vmware", "vmware-functions"])
            {
                cases.Add($"pc-1-{personality}", "interpreter");
                cases.Add($"pc-1-{personality}", "translator");
            }

            return cases;
        }
    }

    public void Dispose()
    {
        _sockets.ForEach(static s => s.Dispose());
        Directory.Delete(_directory, recursive: true);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_machine_of_each_version_goes_on(string version, string name)
    {
        IAccelerator accelerator = name switch
        {
            "interpreter" => new InterpreterAccelerator(),
            "translator" => new TranslatorAccelerator(),
            _ => KvmHost.FindProblem() is { } problem ? Skip(problem) : new KvmAccelerator(),
        };

        // Its disk is written to.
        string path = Path.Combine(_directory, "snapshot");
        Directory.CreateDirectory(path);
        foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Golden", version)))
        {
            File.Copy(file, Path.Combine(path, Path.GetFileName(file)));
        }

        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        snapshot.Verify();
        MachineSettings settings;
        try
        {
            settings = SnapshotSettings.Create(snapshot, accelerator);
        }
        catch (SnapshotException e) when (name == "kvm")
        {
            // Where the hardware's counters run at another frequency and cannot be scaled.
            Skip(e.Message);
            return;
        }

        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        using VirtualMachine machine = new(Complete(settings) with { Serial0 = output });
        machine.Start();
        machine.Serial0.Write("a"u8);
        Assert.True(written.Wait(TimeSpan.FromSeconds(30)), "the guest does not answer");
        Assert.Equal("d", output.Text);
        Assert.Equal(2, machine.Settings.ProcessorCount);

        // Its card's address was announced to its network, in a frame with its length before it.
        byte[] announced = new byte[4 + 60];
        using Socket other = _sockets[0].Accept();
        other.ReceiveTimeout = 30_000;
        Assert.Equal(announced.Length, other.Receive(announced));
        Assert.Equal(
            $"0000003cffffffffffff{snapshot.Manifest.Networks[0].HardwareAddress}8035".ToUpperInvariant(),
            Convert.ToHexString(announced.AsSpan(0, 18)));

        // All of it can be saved again, and has the same parts.
        string next = Path.Combine(_directory, "next");
        machine.Snapshot(next);
        using MachineSnapshot again = MachineSnapshot.Open(next);
        Assert.Equal(snapshot.Manifest.Devices, again.Manifest.Devices);
    }

    [Fact]
    public void It_is_made()
    {
        string? target = Environment.GetEnvironmentVariable(Switch);
        Assert.SkipWhen(target == null, $"Set {Switch} to a new directory to have it made there.");
        string disk = Path.Combine(_directory, "disk");
        File.WriteAllBytes(disk, new byte[4096]);
        bool isPc = Environment.GetEnvironmentVariable(GenerationSwitch) != "2";
        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        using VirtualMachine machine = new(Complete(new MachineSettings
        {
            Name = "golden",
            Accelerator = new InterpreterAccelerator(),
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(EchoGuest.Echo, 0x20_0000), "program") },
            MemorySize = Memory,
            ProcessorCount = 2,
            CpuModel = "x86-64-v2",
            Personality = Enum.Parse<PersonalityKind>(Environment.GetEnvironmentVariable(PersonalitySwitch) ?? nameof(PersonalityKind.Kvm), ignoreCase: true),
            Generation = isPc ? 1 : 2,
            Serial0 = output,
            HasTestDevices = isPc,
            Disks = [new DiskSettings { Path = disk, Format = DiskFormat.Raw }],
            Networks = [new NetworkSettings { Kind = NetworkKind.User, HardwareAddress = [2, 0, 0, 0, 0, 1] }],
            Console = isPc ? NullCharacterOutput.Instance : null,
            Ports = !isPc ? [] : [new PortSettings { Name = "port", Output = NullCharacterOutput.Instance }],
            Balloon = new BalloonSettings { Target = 0 },
            Sockets = new SocketSettings { Address = 3, Path = "" },
        }));
        machine.Start();
        foreach (string expected in (string[])["b", "bc"])
        {
            machine.Serial0.Write("a"u8);
            while (output.Text != expected)
            {
                Assert.True(written.Wait(TimeSpan.FromSeconds(30)), $"'{expected}' did not come, but '{output.Text}'");
                written.Reset();
            }
        }

        machine.Snapshot(target!, new SnapshotOptions { IsCompressed = true });
    }

    private static IAccelerator Skip(string reason)
    {
        Assert.Skip(reason);
        return new InterpreterAccelerator();
    }

    // What is the host's: the wire of the card leads to a socket here, and the guest's sockets are in the test's directory.
    private MachineSettings Complete(MachineSettings settings)
    {
        string path = Path.Combine(_directory, Guid.NewGuid().ToString("N")[..8]);
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Socket wire = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        wire.Connect(new UnixDomainSocketEndPoint(path));
        _sockets.AddRange([listener, wire]);
        PassedFile passed = new(BlockFile.Duplicate((int)wire.Handle), "wire");
        return settings with
        {
            Networks = [.. settings.Networks.Select(n => n with { Wires = [passed] })],
            Sockets = settings.Sockets! with { Path = path + "-v" },
        };
    }
}
