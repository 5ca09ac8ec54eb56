using System.Runtime.CompilerServices;
using Lamina.Interop.Processors;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu;

/// <summary>The run loop of the interpreter.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    private readonly FetchCache _fetches = new();
    private int _jumpEpoch;

    /// <inheritdoc/>
    public ProcessorExit Run()
    {
        ProcessorContext* c = _context;
        BeginPresence(c);
        _partition.EnterGuest(this);
        if (_code != null)
        {
            ThreadRegister.SetGsBase((nint)c);
            Msrs.ShowTimeStamp();
        }

        ProcessorExit exit;
        while (true)
        {
            if (Volatile.Read(ref c->Attention) != 0)
            {
                if (!Attend(c, out exit))
                {
                    break;
                }

                if ((c->Attention & (int)AttentionBits.Step) != 0)
                {
                    if (!Step(c))
                    {
                        exit = new ProcessorExit(ProcessorExitReason.Shutdown);
                        break;
                    }

                    continue;
                }
            }

            Block* block = FindBlock(c);
            if (_code != null && block != null && c->CodeSize == 8)
            {
                Translation* t = FindCode(c, block);
                if (t != null && ProvideUnits(c, t))
                {
                    if (!(_lockstep == null ? RunTranslated(c, t->LookUpEntry) : RunLockstep(c, block, t->LookUpEntry)))
                    {
                        exit = ExitOfFailedRun();
                        break;
                    }

                    continue;
                }

                if (!block->Valid || _jumpEpoch != _blocks.Epoch)
                {
                    continue;
                }
            }

            if (block == null ? !ExecuteSingle(c) : !Execute(c, block) && !Leave(c))
            {
                exit = new ProcessorExit(ProcessorExitReason.Shutdown);
                break;
            }
        }

        _inGuest = false;
        EndPresence();
        return exit;
    }

    /// <summary>Forgets cached block look-ups of one page.</summary>
    public void FlushFetchPage(ulong linear)
    {
        Jumps.FlushPage(linear);
        _fetches.FlushPage(linear);
    }

    /// <summary>Forgets cached block look-ups, those in global pages only if asked to.</summary>
    public void FlushFetches(bool global)
    {
        if (global)
        {
            Jumps.FlushAll();
            _fetches.FlushAll();
        }
        else
        {
            Jumps.FlushLocal();
            _fetches.FlushLocal();
        }
    }

    /// <summary>Forgets cached block look-ups of all address spaces, but those in global pages.</summary>
    public void FlushFetchSpaces()
    {
        Jumps.FlushSpaces();
        _fetches.FlushSpaces();
    }

    /// <summary>Forgets cached block look-ups of a space that is not the current one, but those in global pages.</summary>
    public void FlushFetchSpace(int space)
    {
        Jumps.FlushSpace(space);
        _fetches.FlushSpace(space);
    }

    /// <summary>Makes another space the current one.</summary>
    public void SwitchFetches(int space)
    {
        Jumps.SwitchSpace(space);
        _fetches.SwitchSpace(space);
    }

    // Executes a block to its end. False: a handler wants out, with the reason in Outcome.
    private static bool Execute(ProcessorContext* c, Block* block)
    {
        Instruction* i = Block.Instructions(block);
        Instruction* end = i + block->Count;
        ulong rip = c->Rip;
        do
        {
            c->Rip = rip;
            if (!i->Handler(c, i))
            {
                c->InstructionsRetired += (ulong)(i - Block.Instructions(block));
                return false;
            }

            rip += i->Length;
            i++;
        }
        while (i != end);

        c->InstructionsRetired += block->Count;
        if (!block->SetsRip)
        {
            c->Rip = rip;
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Block* FindBlock(ProcessorContext* c)
    {
        bool long64 = c->CodeSize == 8;
        ulong linear = long64 ? c->Rip : (uint)(c->Segments[SegmentRegister.Cs].Base + c->Rip);
        if (_jumpEpoch == _blocks.Epoch)
        {
            Block* block = Jumps.Find(c->Jumps, linear);
            if (block != null && block->Valid && block->CodeSize == c->CodeSize && (long64 || c->Rip + block->ByteLength - 1 <= c->Segments[SegmentRegister.Cs].Limit)
                && (!block->Crosses || FindSecondPage(c, linear, out FetchCache.Entry second) && second.Physical == Block.Tail(block)->Page))
            {
                return block;
            }
        }

        return FindBlockSlow(c, linear);
    }

    private Block* FindBlockSlow(ProcessorContext* c, ulong linear)
    {
        ForgetOldEpoch();
        ulong page = linear & PageMask;
        bool user = c->Cpl == 3;
        if (!_fetches.TryFind(page, user, out FetchCache.Entry fetch))
        {
            if ((c->CodeSize == 8 && !MemoryUnit.IsCanonical(linear)) || !MemoryUnit.TranslateFetch(c, linear, out PageTranslation t))
            {
                return null;
            }

            ulong frame = t.Physical & PageMask;
            fetch = Remember(page, user, frame, t.Global);
        }

        if (_code != null && c->CodeSize == 8)
        {
            Jumps.SetMapping(linear, fetch.Mapping, fetch.Global);
            Jumps.SetPlace(linear, fetch.Place, fetch.Global);
        }

        ulong physical = fetch.Physical | (linear & 0xfff);
        Block* block = _blocks.Find(physical, Block.ModeOf(c));
        if (block == null)
        {
            // The page behind is not looked at for an instruction that does not reach it.
            bool crosses = MayCross(linear);
            block = crosses && _blocks.HasCrossing(physical, Block.ModeOf(c)) ? null : _blocks.Create(c, physical, Block.ModeOf(c));
            block = block == null && crosses ? FindCrossing(c, linear, physical) : block;
            if (block == null)
            {
                return null;
            }

            ForgetOldEpoch();
        }

        Jumps.Fill(c->Jumps, linear, block, fetch.Global);
        return c->CodeSize == 8 || c->Rip + block->ByteLength - 1 <= c->Segments[SegmentRegister.Cs].Limit ? block : null;
    }

    // Whether an instruction could begin at an address and end in the next page, which address zero is not.
    private static bool MayCross(ulong linear)
    {
        const int longest = 15;
        return (linear & 0xfff) > 0x1000 - longest && (linear | 0xfff) != ulong.MaxValue;
    }

    // The block of an instruction that ends in the page behind its own, if that can be fetched from.
    private Block* FindCrossing(ProcessorContext* c, ulong linear, ulong physical)
    {
        if (!FindSecondPage(c, linear, out FetchCache.Entry second))
        {
            return null;
        }

        Block* block = _blocks.FindCrossing(physical, second.Physical, Block.ModeOf(c));
        return block != null ? block : _blocks.CreateCrossing(c, physical, second.Physical, Block.ModeOf(c));
    }

    // The page behind that of an address, if it can be fetched from. Guards of translations find it then as it is now.
    private bool FindSecondPage(ProcessorContext* c, ulong linear, out FetchCache.Entry second)
    {
        ulong page = (linear & PageMask) + 0x1000;
        if (FindPage(c, c->CodeSize == 8 ? page : (uint)page, out second))
        {
            if (_code != null && c->CodeSize == 8)
            {
                Jumps.SetMapping(page, second.Mapping, second.Global);
                Jumps.SetPlace(page, second.Place, second.Global);
            }

            return true;
        }

        return false;
    }

    private FetchCache.Entry Remember(ulong page, bool user, ulong frame, bool global)
    {
        return _fetches.Add(page, user, frame, global, _code?.MappingNumber(page, user, frame) ?? 0, _code?.PlaceNumber(user, frame) ?? 0);
    }

    private void ForgetOldEpoch()
    {
        if (_jumpEpoch != _blocks.Epoch)
        {
            _jumpEpoch = _blocks.Epoch;
            Jumps.Clear();
        }
    }

    // Deals with what a handler left behind. False: shut down.
    private static bool Leave(ProcessorContext* c)
    {
        switch (c->Outcome)
        {
            case HandlerOutcome.Fault:
                c->PendingDebugTraps = 0;
                if (c->FaultVector != Fault.DebugVector && c->Protected)
                {
                    // Faults push RF set, so that an instruction breakpoint does not hit twice.
                    c->SystemFlags |= Flags.Resume;
                }

                return Events.Deliver(c, c->FaultVector, EventKind.Exception, c->FaultHasCode, c->FaultCode);
            case HandlerOutcome.Trap:
                return Events.Deliver(c, c->FaultVector, EventKind.Exception, c->FaultHasCode, c->FaultCode);
            case HandlerOutcome.Shutdown:
                return false;
            default:
                return true;
        }
    }

    // One instruction, with debug conditions and the interrupt shadow. False: shut down.
    private bool Step(ProcessorContext* c)
    {
        bool trap = (c->SystemFlags & Flags.Trap) != 0;
        bool shadow = c->InterruptShadow;
        bool stackShadow = c->StackSegmentShadow;
        if (c->WatchesInstructions && (c->SystemFlags & Flags.Resume) == 0)
        {
            ulong linear = c->CodeSize == 8 ? c->Rip : (uint)(c->Segments[SegmentRegister.Cs].Base + c->Rip);
            uint hits = DebugUnit.MatchInstruction(c, linear);
            if (hits != 0 && !stackShadow)
            {
                c->Dr6 = (c->Dr6 & ~DebugUnit.AddressBits) | hits;
                c->SystemFlags |= Flags.Resume;
                return Events.Deliver(c, Fault.DebugVector, EventKind.Exception, false, 0);
            }
        }

        uint resume = c->SystemFlags & Flags.Resume;
        bool ok = ExecuteSingle(c, out bool completed);
        if (shadow)
        {
            c->InterruptShadow = false;
            c->StackSegmentShadow = false;
        }

        if (completed && resume != 0)
        {
            c->SystemFlags &= ~Flags.Resume;
        }

        if (ok && (completed || c->PendingDebugTraps != 0))
        {
            uint traps = c->PendingDebugTraps | (trap && completed ? DebugUnit.SingleStep : 0);
            c->PendingDebugTraps = 0;

            // After a load of SS the traps wait for the next instruction (Intel SDM volume 3, section 6.8.3).
            if (traps != 0 && c->StackSegmentShadow && !stackShadow)
            {
                c->PendingDebugTraps = traps & ~DebugUnit.SingleStep;
            }
            else if (traps != 0)
            {
                c->Dr6 = (c->Dr6 & ~DebugUnit.AddressBits) | traps;
                ok = Events.Deliver(c, Fault.DebugVector, EventKind.Exception, false, 0);
            }
        }

        if ((c->SystemFlags & Flags.Trap) == 0 && !c->InterruptShadow && !c->WatchesInstructions && !c->WatchesData && c->PendingDebugTraps == 0)
        {
            Interlocked.And(ref c->Attention, ~(int)AttentionBits.Step);
        }

        return ok;
    }

    private bool ExecuteSingle(ProcessorContext* c, out bool completed)
    {
        ulong before = c->InstructionsRetired;
        bool ok = ExecuteSingle(c);
        completed = c->InstructionsRetired != before || c->Outcome == HandlerOutcome.Yield;
        c->Outcome = HandlerOutcome.Continue;
        return ok;
    }

    // Looks at everything that wants the processor between two instructions. False: Run returns.
    private bool Attend(ProcessorContext* c, out ProcessorExit exit)
    {
        exit = default;
        if (Take(AttentionBits.SafePoint))
        {
            _inGuest = false;
            _partition.EnterGuest(this);
        }

        if ((c->Attention & (int)(AttentionBits.Drop | AttentionBits.AwaitDrops)) != 0)
        {
            AttendDrops(c);
        }

        TakeResets();

        if (Take(AttentionBits.Exit))
        {
            exit = new ProcessorExit(ProcessorExitReason.Requested);
            return false;
        }

        if (c->WaitingForStartUp || _standsStill)
        {
            exit = new ProcessorExit(ProcessorExitReason.Halted);
            Attend(AttentionBits.Halt);
            return false;
        }

        if (!c->InterruptShadow)
        {
            if (!DeliverNonMaskable(c) || !DeliverInterrupt(c))
            {
                exit = new ProcessorExit(ProcessorExitReason.Shutdown);
                return false;
            }
        }

        if (c->Halted && Interlocked.Exchange(ref _kicked, 0) != 0)
        {
            c->Halted = false;
        }

        if (c->Halted)
        {
            exit = new ProcessorExit(ProcessorExitReason.Halted);
            return false;
        }

        Take(AttentionBits.Halt);
        return true;
    }

    // The processor has one NMI in service and latches another, so that two that come at once are not lost. While NMIs are blocked the bit stays down; unblocking them raises it again.
    private bool DeliverNonMaskable(ProcessorContext* c)
    {
        const int Latched = 1;
        if (!Take(AttentionBits.NonMaskable))
        {
            return true;
        }

        int arrived = Interlocked.Exchange(ref _nonMaskableArrived, 0);
        c->NonMaskablePending = (byte)Math.Min(c->NonMaskablePending + arrived, c->NonMaskableBlocked ? Latched : Latched + 1);
        if (c->NonMaskableBlocked || c->NonMaskablePending == 0)
        {
            return true;
        }

        c->NonMaskablePending--;
        c->Halted = false;
        return Events.Deliver(c, Fault.NonMaskableVector, EventKind.NonMaskable, false, 0);
    }

    private bool DeliverInterrupt(ProcessorContext* c)
    {
        if ((c->SystemFlags & Flags.Interrupt) == 0)
        {
            // Setting IF raises the bit again.
            bool arrived = Take(AttentionBits.Interrupt);
            c->InterruptHeld |= arrived;
            c->Halted &= !(arrived && c->HaltEndsMasked);
            return true;
        }

        if (!Take(AttentionBits.Interrupt))
        {
            return true;
        }

        if (Controller is not { HasInterrupt: true } controller)
        {
            c->InterruptHeld = false;
            return true;
        }

        bool acknowledged = controller.TryAcknowledge(out byte vector);
        c->InterruptHeld = controller.HasInterrupt;
        if (c->InterruptHeld)
        {
            // The handler's gate may not mask it.
            Attend(AttentionBits.Interrupt);
        }

        if (!acknowledged)
        {
            return true;
        }

        c->Halted = false;
        return Events.Deliver(c, vector, EventKind.ExternalInterrupt, false, 0);
    }
}
