using System.Runtime.InteropServices;
using Lamina.Interop.Faults;
using Lamina.Interop.Isolation;
using Lamina.Vmm;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Faults;

/// <summary>
/// Each call that starting a machine makes is refused in turn: the machine is not made, for a reason that has the host's words, and nothing is left behind; or it can do without, and runs.
/// </summary>
public sealed class StartFaultTests : IDisposable
{
    private const int Interrupted = 4;
    private const int InputOutput = 5;
    private const int OutOfMemory = 12;
    private const int TooManyFiles = 24;
    private const uint ReadWriteCloseOnExec = 0x80002;
    private const ulong RamLength = 64 << 20;
    private const int MostCalls = 40;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-faults").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(SystemCall.EpollCreate1, TooManyFiles, false)]
    [InlineData(SystemCall.Eventfd2, TooManyFiles, false)]
    [InlineData(SystemCall.Eventfd2, OutOfMemory, false)]
    [InlineData(SystemCall.TimerfdCreate, TooManyFiles, false)]
    [InlineData(SystemCall.EpollCtl, OutOfMemory, false)]
    [InlineData(SystemCall.Bind, OutOfMemory, false)]
    [InlineData(SystemCall.Listen, OutOfMemory, false)]
    [InlineData(SystemCall.Socket, TooManyFiles, false)]
    [InlineData(SystemCall.Openat, TooManyFiles, false)]
    [InlineData(SystemCall.Openat, InputOutput, false)]
    [InlineData(SystemCall.Mmap, OutOfMemory, false)]
    [InlineData(SystemCall.IoUringSetup, OutOfMemory, true)]
    [InlineData(SystemCall.IoUringRegister, OutOfMemory, true)]
    [InlineData(SystemCall.Madvise, OutOfMemory, true)]
    [InlineData(SystemCall.EpollWait, Interrupted, true)]
    public void EachRefusalIsNamedAndLeavesNothing(SystemCall call, int error, bool canDoWithout)
    {
        // What the first machine makes for the process stays.
        Start();
        string[] before = HostState.Descriptors();
        int mappings = HostState.CountMappings(RamLength);
        string reason = Marshal.GetPInvokeErrorMessage(error);
        int refused = 0;
        for (int at = 0; at < MostCalls; at++)
        {
            (int seen, int failed, Exception? exception) = CallFaults.Run(call, Checks(call), at, 1, error, Start);
            if (failed == 0)
            {
                Assert.True(exception == null, $"Nothing failed, and starting ended with {exception}");
                Assert.True(seen > 0 || at > 0, $"Starting a machine makes no call of {call}: this tests nothing.");
                break;
            }

            refused++;
            string where = $"When call {at} of {call} failed with '{reason}'";
            Assert.True(canDoWithout || exception is MachineConfigurationException, $"{where}, starting ended with {exception?.ToString() ?? "a machine"}.");
            Assert.True(exception == null || exception.Message.Contains(reason, StringComparison.Ordinal), $"{where}, the message does not say so: {exception?.Message}");
            Assert.Equal(before, HostState.Descriptors());
            Assert.True(HostState.CountMappings(RamLength) == mappings, $"{where}, a mapping of the machine's RAM was left.");
            Assert.False(File.Exists(Path.Combine(_directory, "guest")), $"{where}, the socket was left.");
        }

        Assert.True(refused > 0, $"No call of {call} was refused.");
    }

    // Those that are the machine's own, and not the runtime's.
    private static ArgumentCheck[] Checks(SystemCall call) => call switch
    {
        SystemCall.Openat => [new ArgumentCheck(2, uint.MaxValue, ReadWriteCloseOnExec)],
        SystemCall.Mmap or SystemCall.Madvise => [new ArgumentCheck(1, 0xfc000000, (uint)RamLength)],
        _ => [],
    };

    private void Start()
    {
        string disk = Path.Combine(_directory, "disk.raw");
        if (!File.Exists(disk))
        {
            File.WriteAllBytes(disk, new byte[1 << 20]);
        }

        MachineSettings settings = TestMachine.Settings(static _ => TestMachine.Halted) with
        {
            MemorySize = RamLength,
            Disks = [new DiskSettings { Path = disk }],
            Sockets = new SocketSettings { Address = 3, Path = Path.Combine(_directory, "guest") },
        };
        using VirtualMachine machine = new(settings);
        machine.Start();
        machine.Pause();
        machine.Quit();
        machine.WaitForEndSoon();
    }
}
