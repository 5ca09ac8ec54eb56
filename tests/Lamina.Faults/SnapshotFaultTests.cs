using System.Runtime.InteropServices;
using Lamina.Interop.Faults;
using Lamina.Interop.Isolation;
using Lamina.Vmm;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Faults;

/// <summary>Each call that writing a snapshot makes fails in turn: there is no snapshot, and nothing of one; the reason is named; the machine goes on, and can be saved afterwards.</summary>
public sealed class SnapshotFaultTests : IDisposable
{
    private const int InputOutput = 5;
    private const int NoSpace = 28;
    private const int MostCalls = 24;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-faults").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(SystemCall.Pwrite64, NoSpace)]
    [InlineData(SystemCall.Pwrite64, InputOutput)]
    [InlineData(SystemCall.Fsync, InputOutput)]
    [InlineData(SystemCall.Ftruncate, NoSpace)]
    [InlineData(SystemCall.Mkdirat, NoSpace)]
    [InlineData(SystemCall.CopyFileRange, NoSpace)]
    public void ThereIsASnapshotOrNothing(SystemCall call, int error)
    {
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, [.. Enumerable.Repeat((byte)7, 1 << 20)]);
        string target = Path.Combine(_directory, "snapshots", "one");
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        int refused = 0;
        for (int at = 0; at < MostCalls; at++)
        {
            SnapshotException? problem = null;
            (int _, int failed, Exception? exception) = CallFaults.Run(call, [], at, 1, error, () =>
            {
                MachineSettings settings = TestMachine.Settings(static _ => TestMachine.Halted) with { Disks = [new DiskSettings { Path = disk }] };
                using VirtualMachine machine = new(settings);
                machine.Start();
                try
                {
                    machine.Snapshot(target);
                }
                catch (SnapshotException e)
                {
                    problem = e;
                    Assert.Empty(Directory.GetFileSystemEntries(Path.GetDirectoryName(target)!));
                    Assert.False(machine.IsPaused || machine.Completion.IsCompleted, "The machine does not go on.");
                    machine.Snapshot(target);
                }
            });
            Assert.True(exception == null, $"When call {at} of {call} failed with errno {error}: {exception}");
            Assert.True(File.Exists(Path.Combine(target, "manifest.json")), "There is no snapshot at the end.");
            Directory.Delete(target, recursive: true);
            if (failed == 0)
            {
                break;
            }

            refused++;
            Assert.True(
                problem == null || problem.Message.Contains(Marshal.GetPInvokeErrorMessage(error), StringComparison.OrdinalIgnoreCase) || problem.Message.Contains("space", StringComparison.OrdinalIgnoreCase),
                $"When call {at} of {call} failed with errno {error}, the message does not say so: {problem?.Message}");
        }

        Assert.True(refused > 0 || call == SystemCall.CopyFileRange, $"No call of {call} was made: this tests nothing.");
    }
}
