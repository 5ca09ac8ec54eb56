using Lamina.Machine.Processors;
using Lamina.Vmm.Snapshots;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>A processor's state as it is saved.</summary>
public sealed class ProcessorRecordTests
{
    [Fact]
    public void EachFlagComesBackAlone()
    {
        foreach (Action<ProcessorState> set in (Action<ProcessorState>[])[
            static s => s.Halted = true, static s => s.WaitingForStartUp = true, static s => s.InterruptShadow = true, static s => s.NonMaskablePending = true,
            static s => s.NonMaskableBlocked = true, static s => s.StandsStill = true])
        {
            ProcessorState state = new();
            set(state);
            StateRecord record = new("cpu0", 1);
            ProcessorRecord.Save(state, record);
            ProcessorState? restored = ProcessorRecord.Restore(record);
            Assert.NotNull(restored);
            Assert.Equal(Flags(state), Flags(restored));
        }
    }

    private static bool[] Flags(ProcessorState s) => [s.Halted, s.WaitingForStartUp, s.InterruptShadow, s.NonMaskablePending, s.NonMaskableBlocked, s.StandsStill];
}
