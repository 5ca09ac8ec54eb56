using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <content>The saved state: where the guest has what it is told, its vectors, and its timers, whose times are the machine clock's.</content>
internal sealed partial class XenProcessor
{
    private const int TimeLength = 32;

    // One of the fields that are left over; those of before are all taken.
    private const ushort SavedContext = 17;
    private const ushort SavedTimes = 18;

    /// <summary>Writes 16 fields, another if the processor was initialized, and another if its times are counted.</summary>
    internal void Save(IStateWriter state, ushort field, ulong now, ulong stolen)
    {
        state.Write(field, Info.Placed);
        state.Write((ushort)(field + 1), (ulong)Info.UpcallVector);
        RunState.Save(state, (ushort)(field + 2), (ushort)(field + SavedTimes), now, stolen);
        state.Write((ushort)(field + 7), TimeArea);
        SingleShot.Save(state, (ushort)(field + 8));
        Periodic.Save(state, (ushort)(field + 11));
        PollLimit.Save(state, (ushort)(field + 14));
        if (IsInitialized)
        {
            state.Write((ushort)(field + SavedContext), Context.Bytes);
        }
    }

    /// <summary>Reads them. After the shared page.</summary>
    internal bool Restore(IStateReader state, ushort field, ulong now, ulong stolen)
    {
        ulong placed = 0;
        byte vector = 0;
        ulong area = 0;
        bool valid = state.TryTake(field, ref placed) & state.TryTake((ushort)(field + 1), ref vector) & RunState.Restore(state, (ushort)(field + 2), (ushort)(field + SavedTimes), now, stolen)
            & state.TryTake((ushort)(field + 7), ref area) & SingleShot.Restore(state, (ushort)(field + 8)) & Periodic.Restore(state, (ushort)(field + 11))
            & PollLimit.Restore(state, (ushort)(field + 14));
        Span<byte> context = stackalloc byte[HvmContext.Length];
        IsInitialized = state.TryRead((ushort)(field + SavedContext), context) == HvmContext.Length;
        valid &= !IsInitialized || Context.TrySet(context);
        Info.UpcallVector = vector;
        TimeArea = area;
        return valid && Info.TryPlaceAgain(placed) && vector is 0 or >= ProcessorInfo.FirstVector && area % GuestMemory.PageSize <= GuestMemory.PageSize - TimeLength
            && !SingleShot.IsPeriodic;
    }

    /// <summary>Has the local APIC leave the domain's vector out of its service where the processor has no vector of its own.</summary>
    /// <returns><c>false</c> if it cannot.</returns>
    internal bool ShowDirect()
    {
        byte vector = Info.UpcallVector == 0 ? Info.CallbackVector : (byte)0;
        if (Controller is IDirectVectors direct)
        {
            direct.ClearDirect();
            if (vector != 0)
            {
                direct.SetDirect(vector, isDirect: true);
            }
        }

        return vector == 0 || Controller is IDirectVectors;
    }
}
