using System.Diagnostics;
using System.Security.Cryptography;
using Lamina.SoftCpu;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>What a restored machine does beside going on: it boots again, its clock may step, and a snapshot's files may be anything.</summary>
public sealed class RestoredMachineTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-snapshots").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_restored_machine_boots_again_when_its_guest_resets_it()
    {
        string first = NewPath();
        string second = NewPath();
        using (EchoGuest guest = EchoGuest.Boot(new TranslatorAccelerator(), EchoGuest.Rebooter))
        {
            guest.Expect(">");
            guest.Machine.Snapshot(first);
            guest.Machine.Snapshot(second, new SnapshotOptions { Base = BaseSnapshot.Read(first, second) });
        }

        foreach (string path in (string[])[first, second])
        {
            using EchoGuest restored = EchoGuest.Restore(path, new TranslatorAccelerator());
            restored.Type("x", ">");
            restored.Type("x", ">");
        }

        File.Delete(Path.Combine(first, "kernel.bin"));
        Assert.Contains("'kernel.bin' is missing", Assert.Throws<SnapshotException>(() => MachineSnapshot.Open(second)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_reboot_is_to_do_is_kept()
    {
        string path = NewPath();
        using (EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator(), EchoGuest.Rebooter))
        {
            guest.Expect(">");
            guest.Machine.Snapshot(path);
        }

        using EchoGuest restored = EchoGuest.Restore(path, new InterpreterAccelerator(), static s => s with { OnReboot = RebootAction.Exit });
        restored.Machine.Serial0.Write("x"u8);
        Assert.Equal(MachineOutcome.Rebooted, restored.Machine.WaitForEndSoon().Outcome);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_clock_steps_where_that_is_wanted(bool steps)
    {
        TimeSpan hour = TimeSpan.FromHours(1);
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
        snapshot.Manifest.UnixTime -= (ulong)hour.TotalNanoseconds;
        using VirtualMachine restored = new(SnapshotSettings.Create(snapshot, new InterpreterAccelerator()) with { StepsClock = steps });
        Assert.InRange(restored.MachineTime, before + (steps ? hour : TimeSpan.Zero), before + (steps ? hour + TimeSpan.FromMinutes(10) : TimeSpan.Zero));
    }

    [Theory]
    [InlineData("manifest.json")]
    [InlineData("state.bin")]
    [InlineData("memory.bin")]
    [InlineData("kernel.bin")]
    public void A_pipe_or_a_directory_in_place_of_a_file_is_named(string name)
    {
        string path = NewPath();
        using (EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator()))
        {
            guest.Machine.Snapshot(path);
        }

        string file = Path.Combine(path, name);
        File.Delete(file);
        using (Process made = Process.Start("mkfifo", [file]))
        {
            made.WaitForExit();
        }

        string problem = Assert.Throws<SnapshotException>(() => MachineSnapshot.Open(path)).Message;
        Assert.Contains($"'{name}' cannot be read: it is no regular file", problem, StringComparison.Ordinal);
        File.Delete(file);
        Directory.CreateDirectory(file);
        problem = Assert.Throws<SnapshotException>(() => MachineSnapshot.Open(path)).Message;
        Assert.Contains($"'{name}' cannot be read: it is no regular file", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_killed_process_left_of_a_snapshot_is_removed_and_what_another_writes_is_not()
    {
        string left = Path.Combine(_directory, ".one.1-0123456789abcdef0123456789abcdef.partial");
        Directory.CreateDirectory(left);
        File.WriteAllText(Path.Combine(left, "memory.bin"), "half");
        string other = Path.Combine(_directory, ".not.partial");
        Directory.CreateDirectory(other);
        using SnapshotDirectory writing = new(Path.Combine(_directory, "two"));
        using EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator());
        guest.Machine.Snapshot(Path.Combine(_directory, "three"));
        Assert.False(Directory.Exists(left), "what was left is still there");
        Assert.True(Directory.Exists(other), "a directory of somebody else is gone");
        writing.CreateFile("memory.bin").Dispose();
    }

    [Fact]
    public void The_own_digest_is_SHA_256()
    {
        byte[] data = new byte[300];
        new Random(5).NextBytes(data);
        for (int length = 0; length < data.Length; length++)
        {
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(data.AsSpan(0, length))), Sha256.Hash(data.AsSpan(0, length)));
        }
    }

    private string NewPath() => Path.Combine(_directory, Guid.NewGuid().ToString("N"));
}
