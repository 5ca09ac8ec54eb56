using System.Text;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>A machine goes on from its snapshot as if nothing had been, as often as wanted, under another accelerator too; what is damaged is refused by name.</summary>
public sealed class SnapshotTests : IDisposable
{
    // Counts typed bytes in a word of RAM and echoes each with the count added; 'q' ends with the count as status.
    private static readonly byte[] Echo =
    [
        0x66, 0xba, 0xf9, 0x03,                   // mov dx, 0x3f9
        0xb0, 0x01, 0xee,                         // mov al, 1; out dx, al: interrupts of the receiver, which also opens it
        0xbb, 0x00, 0x00, 0x30, 0x00,             // mov ebx, 0x300000
        0x66, 0xba, 0xfd, 0x03,                   // wait: mov dx, 0x3fd
        0xec, 0xa8, 0x01, 0x74, 0xf7,             // in al, dx; test al, 1; jz wait
        0x31, 0xc0,                               // xor eax, eax
        0x66, 0xba, 0xf8, 0x03, 0xec,             // mov dx, 0x3f8; in al, dx
        0xff, 0x03,                               // inc dword [ebx]
        0x3c, (byte)'q', 0x74, 0x05,              // cmp al, 'q'; je end
        0x02, 0x03, 0xee,                         // add al, [ebx]; out dx, al
        0xeb, 0xe5,                               // jmp wait
        0x8b, 0x03,                               // end: mov eax, [ebx]
        0xe7, 0xf4,                               // out 0xf4, eax
        0xf4,                                     // hlt
    ];

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-snapshots").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_machine_goes_on_from_its_snapshot_under_other_accelerators_and_back()
    {
        string path = NewPath();
        using (Guest first = Guest.Boot(new TranslatorAccelerator()))
        {
            first.Type("a", "b");
            first.Machine.Snapshot(path);
            first.Type("a", "c");
        }

        for (int cycle = 0; cycle < 12; cycle++)
        {
            IAccelerator accelerator = cycle % 2 == 0 ? new InterpreterAccelerator() : new TranslatorAccelerator();
            string next = NewPath();
            using Guest guest = Guest.Restore(path, accelerator);
            guest.Type("a", ((char)('a' + cycle + 2)).ToString());
            guest.Machine.Snapshot(next);
            Assert.Equal(accelerator.Name, guest.Machine.AcceleratorName);
            path = next;
        }

        using Guest last = Guest.Restore(path, new TranslatorAccelerator());
        last.Machine.Serial0.Write("q"u8);
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, 14), last.Machine.WaitForEndSoon());
    }

    [Fact]
    public void Machines_from_one_snapshot_do_not_see_each_other()
    {
        string path = NewPath();
        using Guest original = Guest.Boot(new TranslatorAccelerator());
        original.Type("a", "b");
        original.Machine.Pause();
        original.Machine.Snapshot(path);
        Assert.True(original.Machine.IsPaused, "the machine did not stay paused");
        original.Machine.Resume();
        Guest[] clones = [.. Enumerable.Range(0, 4).Select(_ => Guest.Restore(path, new TranslatorAccelerator()))];
        for (int i = 0; i < clones.Length; i++)
        {
            for (int typed = 0; typed <= i; typed++)
            {
                clones[i].Type("a", ((char)('c' + typed)).ToString());
            }
        }

        original.Type("a", "c");
        Array.ForEach(clones, static c => c.Dispose());
        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        snapshot.Verify();
    }

    [Fact]
    public void Time_goes_on_where_it_stood()
    {
        string path = NewPath();
        TimeSpan before;
        using (Guest guest = Guest.Boot(new InterpreterAccelerator()))
        {
            guest.Type("a", "b");
            guest.Machine.Pause();
            before = guest.Machine.MachineTime;
            guest.Machine.Snapshot(path);
        }

        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        using VirtualMachine restored = new(SnapshotSettings.Create(snapshot, new InterpreterAccelerator()));
        Assert.Equal(before, restored.MachineTime);
    }

    [Theory]
    [InlineData("manifest.json")]
    [InlineData("state.bin")]
    [InlineData("memory.bin")]
    public void A_file_that_is_missing_cut_off_or_changed_is_named(string name)
    {
        string path = Take();
        string file = Path.Combine(path, name);
        byte[] content = File.ReadAllBytes(file);

        File.WriteAllBytes(file, content[..(content.Length / 2)]);
        Assert.Contains($"'{name}'", OpenAndVerify(path), StringComparison.Ordinal);

        byte[] changed = [.. content];
        int at = name == "memory.bin" ? 0x30_0000 : content.Length / 3;
        changed[at] ^= 0x55;
        File.WriteAllBytes(file, changed);
        if (name != "manifest.json")
        {
            Assert.Contains($"'{name}'", OpenAndVerify(path), StringComparison.Ordinal);
        }

        File.Delete(file);
        Assert.Contains($"'{name}'", OpenAndVerify(path), StringComparison.Ordinal);
    }

    [Fact]
    public void A_place_that_is_taken_is_refused_and_nothing_is_left_there()
    {
        using Guest guest = Guest.Boot(new InterpreterAccelerator());
        Assert.Contains("exists already", Assert.Throws<SnapshotException>(() => guest.Machine.Snapshot(_directory)).Message, StringComparison.Ordinal);
        string nowhere = Path.Combine(_directory, "no", "such", "place");
        Assert.Throws<SnapshotException>(() => guest.Machine.Snapshot(nowhere));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_directory));
        guest.Type("a", "b");
    }

    [Fact]
    public void An_accelerator_that_lacks_something_is_refused_with_the_reason()
    {
        string path = Take();
        string manifest = Path.Combine(path, "manifest.json");
        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        snapshot.Manifest.PhysicalAddressBits = 52;
        snapshot.Manifest.Machine = "pc-1";
        snapshot.Manifest.CpuModel = "nothing";
        Assert.Contains("no CPU model 'nothing'", Assert.Throws<SnapshotException>(() => SnapshotSettings.Create(snapshot, new InterpreterAccelerator())).Message, StringComparison.Ordinal);
        File.WriteAllText(manifest, File.ReadAllText(manifest).Replace("\"pc-1\"", "\"pc-9\"", StringComparison.Ordinal));
        Assert.Contains("machine 'pc-9'", OpenAndVerify(path), StringComparison.Ordinal);
    }

    // A hostile snapshot is one whose digests are right.
    [Fact]
    public void Hostile_snapshots_are_refused_or_run_and_nothing_else()
    {
        string path = Take();
        byte[] manifest = File.ReadAllBytes(Path.Combine(path, "manifest.json"));
        byte[] state = File.ReadAllBytes(Path.Combine(path, "state.bin"));
        string digest = Digest(state);
        Random random = new(7);
        int refused = 0;
        int made = 0;
        for (int round = 0; round < 150; round++)
        {
            byte[] otherState = Mutate(random, state, round % 3 == 0 ? 0 : 1 + random.Next(4));
            byte[] otherManifest = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(manifest).Replace(digest, Digest(otherState), StringComparison.Ordinal));
            File.WriteAllBytes(Path.Combine(path, "state.bin"), otherState);
            File.WriteAllBytes(Path.Combine(path, "manifest.json"), Mutate(random, otherManifest, round % 3 == 0 ? 1 + random.Next(3) : 0));
            try
            {
                using MachineSnapshot snapshot = MachineSnapshot.Open(path);
                using VirtualMachine machine = new(SnapshotSettings.Create(snapshot, new InterpreterAccelerator()) with { Networks = [], Sockets = null, Disks = [] });
                machine.Start();
                machine.Serial0.Write("q"u8);
                made++;
            }
            catch (Exception e) when (e is SnapshotException or MachineConfigurationException)
            {
                refused++;
            }
        }

        Assert.True(refused > 0 && made > 0, $"{refused} were refused and {made} ran: that proves nothing");
    }

    private static string Digest(byte[] content) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(content));

    private static byte[] Mutate(Random random, byte[] content, int changes)
    {
        byte[] changed = [.. content];
        for (int i = 0; i < changes; i++)
        {
            changed[random.Next(changed.Length)] = (byte)random.Next(256);
        }

        return changed;
    }

    private static string OpenAndVerify(string path) => Assert.Throws<SnapshotException>(() =>
    {
        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        snapshot.Verify();
    }).Message;

    private string NewPath() => Path.Combine(_directory, Guid.NewGuid().ToString("N"));

    private string Take()
    {
        string path = NewPath();
        using Guest guest = Guest.Boot(new InterpreterAccelerator());
        guest.Type("a", "b");
        guest.Machine.Snapshot(path);
        return path;
    }

    private sealed class Guest : IDisposable
    {
        private readonly MemoryCharacterOutput _output = new();
        private readonly ManualResetEventSlim _written = new();
        private string _expected = "";

        private Guest(Func<MemoryCharacterOutput, MachineSettings> settings)
        {
            _output.Written += _written.Set;
            Machine = new VirtualMachine(settings(_output));
            Machine.Start();
        }

        public VirtualMachine Machine { get; }

        public static Guest Boot(IAccelerator accelerator) => new(output => TestMachine.Settings(accelerator) with
        {
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(Echo, 0x20_0000), "program") },
            Serial0 = output,
        });

        public static Guest Restore(string path, IAccelerator accelerator)
        {
            using MachineSnapshot snapshot = MachineSnapshot.Open(path);
            return new Guest(output => SnapshotSettings.Create(snapshot, accelerator) with { Serial0 = output });
        }

        public void Type(string text, string answer)
        {
            _expected += answer;
            Machine.Serial0.Write(Encoding.ASCII.GetBytes(text));
            while (_output.Text != _expected)
            {
                Assert.True(_written.Wait(TimeSpan.FromSeconds(20)), $"'{_expected}' did not come, but '{_output.Text}'");
                _written.Reset();
            }
        }

        public void Dispose()
        {
            Machine.Dispose();
            _written.Dispose();
        }
    }
}
