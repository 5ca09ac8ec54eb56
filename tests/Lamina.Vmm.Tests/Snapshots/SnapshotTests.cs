using System.Text;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>A machine goes on from its snapshot as if nothing had been, as often as wanted, under another accelerator too; what is damaged is refused by name.</summary>
public sealed class SnapshotTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-snapshots").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_machine_goes_on_from_its_snapshot_under_other_accelerators_and_back()
    {
        string path = NewPath();
        using (EchoGuest first = EchoGuest.Boot(new TranslatorAccelerator()))
        {
            first.Type("a", "b");
            first.Machine.Snapshot(path);
            first.Type("a", "c");
        }

        for (int cycle = 0; cycle < 12; cycle++)
        {
            IAccelerator accelerator = cycle % 2 == 0 ? new InterpreterAccelerator() : new TranslatorAccelerator();
            string next = NewPath();
            using EchoGuest guest = EchoGuest.Restore(path, accelerator);
            guest.Type("a", ((char)('a' + cycle + 2)).ToString());
            guest.Machine.Snapshot(next);
            Assert.Equal(accelerator.Name, guest.Machine.AcceleratorName);
            path = next;
        }

        using EchoGuest last = EchoGuest.Restore(path, new TranslatorAccelerator());
        last.Machine.Serial0.Write("q"u8);
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, 14), last.Machine.WaitForEndSoon());
    }

    [Theory]
    [InlineData(KvmControllers.Off)]
    [InlineData(KvmControllers.Split)]
    [InlineData(KvmControllers.On)]
    public void So_it_does_under_Kvm_and_back(KvmControllers controllers)
    {
        string path = NewPath();
        using KvmAccelerator kvm = TestKvm.Create(controllers);
        using (EchoGuest first = EchoGuest.Boot(new TranslatorAccelerator(), compatible: kvm))
        {
            first.Type("a", "b");
            first.Machine.Snapshot(path);
        }

        for (int cycle = 0; cycle < 12; cycle++)
        {
            IAccelerator accelerator = (cycle % 4) switch { 0 or 1 => TestKvm.Create(controllers), 2 => new InterpreterAccelerator(), _ => new TranslatorAccelerator() };
            string next = NewPath();
            using EchoGuest guest = EchoGuest.Restore(path, accelerator);
            guest.Type("a", ((char)('a' + cycle + 2)).ToString());
            guest.Machine.Snapshot(next);
            Assert.Equal(accelerator.Name, guest.Machine.AcceleratorName);
            path = next;
        }

        using EchoGuest last = EchoGuest.Restore(path, TestKvm.Create(controllers));
        last.Machine.Serial0.Write("q"u8);
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, 14), last.Machine.WaitForEndSoon());
    }

    [Fact]
    public void Machines_from_one_snapshot_do_not_see_each_other()
    {
        string path = NewPath();
        using EchoGuest original = EchoGuest.Boot(new TranslatorAccelerator());
        original.Type("a", "b");
        original.Machine.Pause();
        original.Machine.Snapshot(path);
        Assert.True(original.Machine.IsPaused, "the machine did not stay paused");
        original.Machine.Resume();
        EchoGuest[] clones = [.. Enumerable.Range(0, 4).Select(_ => EchoGuest.Restore(path, new TranslatorAccelerator()))];
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
        using (EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator()))
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
        using EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator());
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
        using EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator());
        guest.Type("a", "b");
        guest.Machine.Snapshot(path);
        return path;
    }
}
