using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <content>The saved state, but for the control domain's part. What the guest is shown lies in its own memory; here is where.</content>
internal sealed partial class XenDomain
{
    private const ushort SavedInterrupts = 7;
    private const ushort SavedEvents = 8;
    private const ushort SavedProcessors = 32;
    private const int SavedPerProcessor = 32;
    private const ushort SavedGrants = 4096;

    internal void Save(IStateWriter state)
    {
        ulong now = Now;
        state.Write(1, Shared.Address);
        state.Write(2, _parameters[CallbackParameter]);
        state.Write(3, FlagsRunState);
        state.Write(4, BalloonedPages);
        state.Write(5, (ulong)_time.Drift);
        state.Write(6, CallsByInstruction);
        PhysicalInterrupts.Save(state, SavedInterrupts);
        Events.Save(state, SavedEvents, static i => (ushort)(GetField(i) + 20));
        Grants.Save(state, SavedGrants);
        for (int i = 0; i < Processors.Length; i++)
        {
            state.Write((ushort)(GetField(i) + 16), _timeStampOffsets[i]);
            Processors[i].Save(state, GetField(i), now, GetStolen(i));
        }
    }

    /// <summary>Reads it. The parameters that are the toolstack's stay.</summary>
    /// <returns><c>false</c> if it cannot be one; then everything is as after a reset.</returns>
    internal bool Restore(IStateReader state, Predicate<ulong> isFree)
    {
        ulong address = 0;
        ulong callback = 0;
        ulong ballooned = 0;
        bool flags = false;

        // Machines of before have neither: their counters did not drift, and their page has the instruction in it.
        bool drifts = _time.TryRestore(state.TryRead(5, out ulong drift) ? (long)drift : 0);
        CallsByInstruction = !state.TryRead(6, out ulong calls) || calls != 0;

        // Grant frames first: the others may lie in them.
        bool valid = drifts & Grants.Restore(state, SavedGrants, isFree) & state.TryTake(1, ref address) & state.TryTake(2, ref callback) & state.TryTake(3, ref flags) & state.TryTake(4, ref ballooned)
            && ballooned <= Memory.Size / GuestMemory.PageSize && Shared.TryPlaceAgain(address) && ProcessorInfo.TryParseCallback(callback, out _)
            && PhysicalInterrupts.Restore(state, SavedInterrupts) && Events.Restore(state, SavedEvents, static i => (ushort)(GetField(i) + 20));
        for (int i = 0; i < Processors.Length && valid; i++)
        {
            valid = state.TryTake((ushort)(GetField(i) + 16), ref _timeStampOffsets[i]) && Processors[i].Restore(state, GetField(i), Now, GetStolen(i));
        }

        if (valid)
        {
            (FlagsRunState, BalloonedPages) = (flags, ballooned);
            valid = TrySetCallback(callback, repeats: false);
            foreach (XenProcessor processor in Processors)
            {
                processor.ShowDirect();
            }

            PhysicalInterrupts.EndRestore();
        }

        if (!valid)
        {
            Reset();
        }

        return valid;
    }

    /// <summary>Sets the vector of the domain's interrupt.</summary>
    /// <param name="value">The parameter.</param>
    /// <param name="repeats">Whether what is pending already interrupts.</param>
    /// <returns><c>false</c> if it is none, or a local APIC has no such vectors.</returns>
    internal bool TrySetCallback(ulong value, bool repeats)
    {
        if (!ProcessorInfo.TryParseCallback(value, out byte vector))
        {
            return false;
        }

        foreach (XenProcessor processor in Processors)
        {
            if (vector != 0 && processor.Controller is not IDirectVectors)
            {
                return false;
            }
        }

        _parameters[CallbackParameter] = value;
        foreach (XenProcessor processor in Processors)
        {
            processor.Info.CallbackVector = vector;
            if (processor.Info.UpcallVector == 0)
            {
                processor.ShowDirect();
                if (repeats)
                {
                    processor.Info.Repeat();
                }
            }
        }

        return true;
    }

    private static ushort GetField(int processor) => (ushort)(SavedProcessors + (processor * SavedPerProcessor));
}
