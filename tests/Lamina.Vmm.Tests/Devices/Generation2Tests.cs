using System.Buffers.Binary;
using Lamina.Boot;
using Lamina.Boot.Acpi;
using Lamina.Boot.Tests.Images;
using Lamina.Kvm;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Devices;

/// <summary>A machine without PCI and legacy devices: what answers in it and what does not, what it cannot have, and that it goes on from its snapshots under each accelerator.</summary>
public sealed class Generation2Tests : IDisposable
{
    // Says '>' when it starts. What is typed comes back with the number of typed bytes, and what Hyper-V's hypercall for each of them answers (0 for success), added; 'q' writes S5 to the sleep control register, and 'r' the reset register.
    private static readonly byte[] Echo =
    [
        0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'>', 0xee,                     // mov dx, 3f8h; mov al, '>'; out dx, al
        0x66, 0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,                          // mov dx, 3f9h; mov al, 1; out dx, al
        0xb9, 0, 0, 0, 0x40, 0xb8, 1, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x30,     // mov ecx, 40000000h; mov eax, 1; xor edx, edx; wrmsr: the system's name
        0xb9, 1, 0, 0, 0x40, 0xb8, 1, 0, 0x30, 0, 0x31, 0xd2, 0x0f, 0x30,  // mov ecx, 40000001h; mov eax, 300001h; xor edx, edx; wrmsr: the page
        0xbc, 0, 0, 0x31, 0,                                               // mov esp, 310000h
        0x31, 0xed,                                                        // xor ebp, ebp
        0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7,              // wait: mov dx, 3fdh; in al, dx; test al, 1; jz wait
        0x31, 0xc0, 0x66, 0xba, 0xf8, 0x03, 0xec, 0x45,                    // xor eax, eax; mov dx, 3f8h; in al, dx; inc ebp
        0x3c, (byte)'q', 0x74, 0x1f,                                       // cmp al, 'q'; je off
        0x3c, (byte)'r', 0x74, 0x25,                                       // cmp al, 'r'; je reset
        0x89, 0xc7,                                                        // mov edi, eax
        0xb8, 8, 0, 0, 0, 0x31, 0xd2,                                      // mov eax, 8; xor edx, edx: HvCallNotifyLongSpinWait
        0xb9, 0, 0, 0x30, 0, 0xff, 0xd1,                                   // mov ecx, 300000h; call ecx
        0x01, 0xf8, 0x01, 0xe8,                                            // add eax, edi; add eax, ebp
        0x66, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xcc,                          // mov dx, 3f8h; out dx, al; jmp wait
        0x66, 0xba, 0x05, 0x04, 0xb0, 0x20, 0xee, 0xf4, 0xeb, 0xfd,        // off: mov dx, 405h; mov al, 20h; out dx, al; hlt; jmp to it
        0x66, 0xba, 0x33, 0x04, 0xb0, 0x01, 0xee, 0xf4, 0xeb, 0xfd,        // reset: mov dx, 433h; mov al, 1; out dx, al; hlt; jmp to it
    ];

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-generation2").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void NothingAnswersThatAPcWouldHave()
    {
        FakeAccelerator accelerator = new(static _ => TestMachine.Halted);
        using VirtualMachine machine = new(CreateSettings(accelerator));
        List<ulong> answering = [.. Enumerable.Range(0, (int)AddressSpace.PortCount).Select(static p => (ulong)p).Where(accelerator.Settings!.Ports.IsClaimed)];

        // COM2, COM1, the real-time clock, the post code, and ACPI's registers.
        List<ulong> expected = [.. Range(0x70, 2), .. Range(0x80, 1), .. Range(0x2f8, 8), .. Range(0x3f8, 8), .. Range(0x400, 6), .. Range(0x408, 8), .. Range(0x433, 1)];
        Assert.Equal(expected, answering);
        AddressSpace mmio = accelerator.Settings.Mmio;
        Assert.True(mmio.IsClaimed(0xfec0_0000), "There is no I/O APIC.");
        foreach (ulong address in (ulong[])[0xb000_0000, 0xb000_8000, 0xc000_0000, 0xf800_0000, 0xfed0_0000, 0xfed8_0000, 0xff00_0000])
        {
            Assert.False(mmio.IsClaimed(address), $"Something answers at {address:x}.");
        }
    }

    [Fact]
    public void TheTablesThatAreInMemoryAreTheMachines()
    {
        FakeAccelerator accelerator = new(static _ => TestMachine.Halted);
        using VirtualMachine machine = new(CreateSettings(accelerator));
        byte[] tables = new byte[0x4000];
        Assert.True(accelerator.Settings!.Memory.TryRead(AcpiTables.TablesAddress, tables));
        int fadt = tables.AsSpan().IndexOf("FACP"u8);
        Assert.True(fadt > 0, "There is no FADT.");
        Assert.Equal(0x433u, BinaryPrimitives.ReadUInt64LittleEndian(tables.AsSpan(fadt + 120)));
        Assert.Equal(0x400u, BinaryPrimitives.ReadUInt64LittleEndian(tables.AsSpan(fadt + 152)));
        Assert.Equal(0x405u, BinaryPrimitives.ReadUInt64LittleEndian(tables.AsSpan(fadt + 248)));
        Assert.True(tables.AsSpan().IndexOf("MSFT1000"u8) > 0, "There is no VMBus.");
        foreach (string foreign in (string[])["MCFG", "HPET", "PCI0", "PEVT", "PCST", "VGEN"])
        {
            Assert.True(tables.AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes(foreign)) < 0, $"There is {foreign}.");
        }
    }

    [Fact]
    public void WhatItCannotHaveIsNamed()
    {
        FakeAccelerator accelerator = new(static _ => TestMachine.Halted);
        MachineSettings settings = CreateSettings(accelerator);
        (MachineSettings Settings, string Message)[] cases =
        [
            (settings with { Generation = 0 }, "no machine of generation 0"),
            (settings with { Generation = 3 }, "no machine of generation 3"),
            (settings with { Personality = PersonalityKind.Kvm }, "shows Hyper-V"),
            (settings with { Personality = PersonalityKind.Xen }, "shows Hyper-V"),
            (settings with { Transport = VirtioTransport.Mmio }, "memory-mapped virtio devices"),
            (settings with { Shares = [new ShareSettings { Path = _directory, Tag = "share" }] }, "shared folders"),
            (settings with { Console = NullCharacterOutput.Instance }, "a virtio console"),
            (settings with { Ports = [new PortSettings { Name = "port", Output = NullCharacterOutput.Instance }] }, "named ports"),
            (settings with { Sockets = new SocketSettings { Address = 3, Path = Path.Combine(_directory, "sockets"), AreVirtio = true } }, "virtio's sockets"),
            (settings with { HasTestDevices = true }, "devices for test programs"),
            (settings with { Boot = new BootSource { Kernel = BootImage.FromBytes(MakeRom(), "a ROM"), Protocol = BootProtocol.Rom } }, "'a ROM' is entered as from a PC's firmware"),
        ];
        foreach ((MachineSettings refused, string message) in cases)
        {
            Assert.Contains(message, Assert.Throws<MachineConfigurationException>(() => new VirtualMachine(refused)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void DisksComeAndGoAndTheKeyboardIsThere()
    {
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        FakeAccelerator accelerator = new(static p => p.Spin());
        using VirtualMachine machine = new(CreateSettings(accelerator) with { Balloon = new BalloonSettings() });
        machine.Start();
        Assert.Equal("disk0", machine.AttachDisk(new DiskSettings { Path = disk }));
        Assert.Equal(["disk0"], machine.CurrentSettings.Disks.Select(static d => $"disk{d.Number}"));
        Assert.NotNull(machine.Balloon);

        // Nobody listens, and there is no PC's keyboard that would.
        Assert.False(machine.TryRestart());
        string path = Path.Combine(_directory, "snapshot");
        machine.Snapshot(path);
        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        Assert.Equal(MachineVersion.Generation2, snapshot.Manifest.Machine);
        string[] names = [.. snapshot.Manifest.Devices.Select(static d => d.Name)];
        Assert.Contains("hvkeyboard", names);
        Assert.Empty(names.Intersect(["pic", "pit", "hpet", "i8042", "port92", "reset", "pcihost", "hotplug", "panic", "exit", "rng0"]));
        Assert.Equal(2, SnapshotSettings.Create(snapshot, accelerator).Generation);
    }

    [Fact]
    public void AScreenHasItsDevicesAndItsMemoryAndIsSaved()
    {
        FakeAccelerator accelerator = new(static p => p.Spin());
        string path = Path.Combine(_directory, "snapshot");
        const ulong Memory = 16 << 20;
        using (VirtualMachine machine = new(CreateSettings(accelerator) with { MemorySize = Memory, Screen = new ScreenSettings { Width = 800, Height = 600 } }))
        {
            // The module's first window is the last RAM.
            byte[] tables = new byte[0x4000];
            Assert.True(accelerator.Settings!.Memory.TryRead(AcpiTables.TablesAddress, tables));
            int module = tables.AsSpan().IndexOf("VMOD"u8);
            Assert.True(module > 0, "There is no module device.");
            int window = tables.AsSpan(module).IndexOf(new byte[] { 0x87, 0x17, 0x00 });
            Assert.True(window > 0, "It has no memory.");
            Assert.Equal(Memory - (4 << 20), BinaryPrimitives.ReadUInt32LittleEndian(tables.AsSpan(module + window + 10)));
            Assert.Equal(Memory - 1, BinaryPrimitives.ReadUInt32LittleEndian(tables.AsSpan(module + window + 14)));
            Assert.True(accelerator.Settings.Memory.TryWrite(Memory - 1, [1]), "That is no RAM.");
            machine.Start();
            Assert.Contains("shows nothing", Assert.Throws<MachineConfigurationException>(() => machine.TakeScreenshot()).Message, StringComparison.Ordinal);
            machine.Snapshot(path);
        }

        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        Assert.Equal(MachineVersion.Generation2, snapshot.Manifest.Machine);
        string[] names = [.. snapshot.Manifest.Devices.Select(static d => d.Name)];
        Assert.Equal(["hvkeyboard", "hvmouse", "hvvideo"], names.Where(static n => n is "hvkeyboard" or "hvmouse" or "hvvideo"));
        MachineSettings settings = SnapshotSettings.Create(snapshot, Fresh());
        Assert.Equal((2, 800, 600), (settings.Generation, settings.Screen?.Width, settings.Screen?.Height));
        using VirtualMachine again = new(settings);
        again.Start();
        again.Quit();
        Assert.Equal(MachineOutcome.Quit, again.WaitForEndSoon().Outcome);
    }

    [Fact]
    public void ItIsResetAndSwitchedOffByAcpi()
    {
        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        using VirtualMachine machine = new(CreateSettings(new InterpreterAccelerator()) with { Boot = Program, Serial0 = output });
        machine.Start();
        Type(machine, output, written, "", ">");
        Type(machine, output, written, "a", ">b");
        Type(machine, output, written, "a", ">bc");

        // It begins again, and counts anew.
        Type(machine, output, written, "r", ">bc>");
        Type(machine, output, written, "a", ">bc>b");
        machine.Serial0.Write("q"u8);
        Assert.Equal(MachineOutcome.PoweredOff, machine.WaitForEndSoon().Outcome);
    }

    [Theory]
    [InlineData("interpreter", "translator")]
    [InlineData("interpreter", "translator", "kvm")]
    public void ItGoesOnFromItsSnapshotsAndMovesBetweenAccelerators(params string[] names)
    {
        using KvmAccelerator? kvm = names.Contains("kvm") ? TestKvm.Create() : null;
        IAccelerator[] compatible = kvm == null ? [] : [kvm];
        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        string path = Path.Combine(_directory, "0");
        string expected = ">";
        int typed = 0;
        using (VirtualMachine first = new(CreateSettings(Create("translator")) with { Boot = Program, Serial0 = output, CompatibleWith = compatible, ProcessorCount = 2 }))
        {
            first.Start();
            Type(first, output, written, "", expected);
            foreach (string name in names)
            {
                first.MoveTo(Create(name));
                expected += (char)('a' + ++typed);
                Type(first, output, written, "a", expected);
            }

            first.Snapshot(path);
        }

        for (int cycle = 0; cycle < 2 * names.Length; cycle++)
        {
            string next = Path.Combine(_directory, $"{cycle + 1}");
            using MachineSnapshot snapshot = MachineSnapshot.Open(path);
            using VirtualMachine restored = new(SnapshotSettings.Create(snapshot, Create(names[cycle % names.Length])) with { Serial0 = output });
            Assert.Equal(2, restored.Settings.Generation);
            restored.Start();
            expected += (char)('a' + ++typed);
            Type(restored, output, written, "a", expected);
            restored.Snapshot(next);
            path = next;
            if (cycle == (2 * names.Length) - 1)
            {
                restored.Serial0.Write("q"u8);
                Assert.Equal(MachineOutcome.PoweredOff, restored.WaitForEndSoon().Outcome);
            }
        }
    }

    [Fact]
    public void ASnapshotThatSaysAnotherHypervisorIsRefused()
    {
        FakeAccelerator accelerator = new(static p => p.Spin());
        string path = Path.Combine(_directory, "snapshot");
        using (VirtualMachine machine = new(CreateSettings(accelerator)))
        {
            machine.Start();
            machine.Snapshot(path);
        }

        string manifest = Path.Combine(path, MachineSnapshot.ManifestFile);
        string text = File.ReadAllText(manifest);
        Assert.Contains("\"HyperV\"", text, StringComparison.Ordinal);
        File.WriteAllText(manifest, text.Replace("\"HyperV\"", "\"Kvm\"", StringComparison.Ordinal));
        using (MachineSnapshot snapshot = MachineSnapshot.Open(path))
        {
            Assert.Contains("shows Hyper-V", Assert.Throws<MachineConfigurationException>(() => new VirtualMachine(SnapshotSettings.Create(snapshot, Fresh()))).Message, StringComparison.Ordinal);
        }

        // And one whose devices are not those of the machine that it names.
        File.WriteAllText(manifest, text.Replace(MachineVersion.Generation2, MachineVersion.Current, StringComparison.Ordinal));
        using (MachineSnapshot snapshot = MachineSnapshot.Open(path))
        {
            Assert.Contains("cannot be used", Assert.Throws<MachineConfigurationException>(() => new VirtualMachine(SnapshotSettings.Create(snapshot, Fresh()))).Message, StringComparison.Ordinal);
        }
    }

    private static BootSource Program { get; } = new() { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(Echo, 0x20_0000), "program") };

    private static FakeAccelerator Fresh() => new(static p => p.Spin());

    private static IEnumerable<ulong> Range(ulong first, int count) => Enumerable.Range(0, count).Select(i => first + (ulong)i);

    private static MachineSettings CreateSettings(IAccelerator accelerator) => TestMachine.Settings(accelerator) with { Personality = PersonalityKind.HyperV, Generation = 2 };

    private static IAccelerator Create(string name) => name switch
    {
        "interpreter" => new InterpreterAccelerator(),
        "translator" => new TranslatorAccelerator(),
        _ => TestKvm.Create(),
    };

    private static byte[] MakeRom()
    {
        byte[] rom = new byte[64 << 10];
        rom[^16] = 0xeb; // A jump, at the reset vector.
        return rom;
    }

    private static void Type(VirtualMachine machine, MemoryCharacterOutput output, ManualResetEventSlim written, string text, string expected)
    {
        machine.Serial0.Write(System.Text.Encoding.ASCII.GetBytes(text));
        while (output.Text != expected)
        {
            Assert.True(written.Wait(TimeSpan.FromSeconds(30)), $"'{expected}' did not come, but '{output.Text}'");
            written.Reset();
        }
    }
}
