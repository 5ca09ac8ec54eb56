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
    private const int SingleCount = 256;
    private readonly SingleInstruction[] _singles = new SingleInstruction[SingleCount];
    private readonly Instruction* _singleInstructions;
    private Instruction* _single;
    private readonly FetchCache _fetches = new();
    private int _jumpEpoch;

    /// <inheritdoc/>
    public ProcessorExit Run()
    {
        ProcessorContext* c = _context;
        _partition.EnterGuest(this);
        if (_code != null)
        {
            ThreadRegister.SetGsBase((nint)c);
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
                    if (!(_lockstep == null ? RunTranslated(c, t->Entry) : RunLockstep(c, block, t->Entry)))
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
            if (block != null && block->Valid && block->CodeSize == c->CodeSize && (long64 || c->Rip + block->ByteLength - 1 <= c->Segments[SegmentRegister.Cs].Limit))
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
            fetch = _fetches.Add(page, user, frame, t.Global, _code?.MappingNumber(page, user, frame) ?? 0);
        }

        if (_code != null && c->CodeSize == 8)
        {
            Jumps.SetMapping(linear, fetch.Mapping, fetch.Global);
        }

        ulong physical = fetch.Physical | (linear & 0xfff);
        Block* block = _blocks.Find(physical, c->CodeSize);
        if (block == null)
        {
            block = _blocks.Create(c, physical, c->CodeSize);
            if (block == null)
            {
                return null;
            }

            ForgetOldEpoch();
        }

        Jumps.Fill(c->Jumps, linear, block, fetch.Global);
        return c->CodeSize == 8 || c->Rip + block->ByteLength - 1 <= c->Segments[SegmentRegister.Cs].Limit ? block : null;
    }

    private void ForgetOldEpoch()
    {
        if (_jumpEpoch != _blocks.Epoch)
        {
            _jumpEpoch = _blocks.Epoch;
            Jumps.Clear();
        }
    }

    // One instruction that cannot be taken from a block: it crosses a page or the code segment's limit, is not in RAM, or cannot be decoded.
    private bool ExecuteSingle(ProcessorContext* c)
    {
        if (!FetchSingle(c))
        {
            return Leave(c);
        }

        Instruction* i = _single;
        ulong rip = c->Rip;
        if (!i->Handler(c, i))
        {
            return Leave(c);
        }

        c->InstructionsRetired++;
        if ((i->Flags & InstructionFlags.EndsBlock) == 0)
        {
            c->Rip = rip + i->Length;
        }

        return true;
    }

    private bool FetchSingle(ProcessorContext* c)
    {
        const int maximum = 15;
        byte* bytes = stackalloc byte[16];
        int available = 0;
        bool long64 = c->CodeSize == 8;
        ulong limit = long64 ? ulong.MaxValue : c->Segments[SegmentRegister.Cs].Limit;
        bool general = false;
        bool page = false;
        uint pageCode = 0;
        ulong pageAddress = 0;
        ulong cr2 = c->Cr2;
        while (available < maximum)
        {
            ulong offset = c->Rip + (ulong)available;
            ulong linear = long64 ? offset : (uint)(c->Segments[SegmentRegister.Cs].Base + offset);
            if (offset > limit || (long64 && !MemoryUnit.IsCanonical(linear)))
            {
                general = true;
                break;
            }

            if (!MemoryUnit.TranslateFetch(c, linear, out PageTranslation t))
            {
                page = true;
                pageCode = c->FaultCode;
                pageAddress = linear;
                c->Cr2 = cr2;
                break;
            }

            int run = (int)Math.Min((ulong)(maximum - available), 0x1000 - (linear & 0xfff));
            if (!long64)
            {
                run = (int)Math.Min((ulong)run, limit - offset + 1);
            }

            byte* host = HostAddress(t.Physical);
            if (host != null)
            {
                Buffer.MemoryCopy(host, bytes + available, run, run);
            }
            else
            {
                AccessDevice(t.Physical, bytes + available, run, false);
            }

            available += run;
        }

        // A translation that failed only matters if the instruction needs those bytes.
        ref SingleInstruction cached = ref _singles[SingleIndex(c->Rip)];
        _single = cached.Instruction;
        if (cached.Matches(bytes, available, c->CodeSize))
        {
            NoteCrossing(c, ref cached);
            return true;
        }

        cached.CodeSize = 0;
        cached.Rip = SingleInstruction.Nowhere;

        DecodeStatus status = Decoder.Decode(bytes, available, c->CodeSize, out *_single);
        switch (status)
        {
            case DecodeStatus.Done:
                _partition.Bind(_single, c->CodeSize);
                cached.Remember(bytes, c->CodeSize);
                NoteCrossing(c, ref cached);
                return true;
            case DecodeStatus.Undefined:
                return Fault.InvalidOpcode(c);
            case DecodeStatus.Truncated when page:
                return Fault.Page(c, pageAddress, pageCode);
            default:
                _ = general;
                return Fault.GeneralProtection(c);
        }
    }

    private static int SingleIndex(ulong rip) => (int)((rip >> 12) ^ (rip << 4)) & (SingleCount - 1);

    // An instruction over two pages of RAM is found again by them, without a look at the page tables.
    private void NoteCrossing(ProcessorContext* c, ref SingleInstruction single)
    {
        ulong page = c->Rip & PageMask;
        bool crosses = c->CodeSize == 8 && ((c->Rip + single.Instruction->Length - 1) & PageMask) != page && single.Instruction->Length > 0x1000 - (int)(c->Rip & 0xfff);
        if (crosses && FindPage(c, page) is var first and not NoFrame && FindPage(c, page + 0x1000) is var second and not NoFrame
            && HostAddress(first) != null && HostAddress(second) != null)
        {
            single.FirstPage = first;
            single.SecondPage = second;
            single.Rip = c->Rip;
        }
    }

    private const ulong NoFrame = 1;

    // The physical page that instructions of a linear page are fetched from, or none if that would fault.
    private ulong FindPage(ProcessorContext* c, ulong page)
    {
        bool user = c->Cpl == 3;
        if (_fetches.TryFind(page, user, out FetchCache.Entry fetch))
        {
            return fetch.Physical;
        }

        ulong cr2 = c->Cr2;
        if (!MemoryUnit.IsCanonical(page) || !MemoryUnit.TranslateFetch(c, page, out PageTranslation t))
        {
            c->Cr2 = cr2;
            return NoFrame;
        }

        ulong frame = t.Physical & PageMask;
        return _fetches.Add(page, user, frame, t.Global, _code?.MappingNumber(page, user, frame) ?? 0).Physical;
    }

    // The instruction at RIP, if it crosses a page and is known, its pages are mapped as they were, and its bytes are the same.
    private Instruction* FindSingle(ProcessorContext* c)
    {
        ref SingleInstruction single = ref _singles[SingleIndex(c->Rip)];
        ulong page = c->Rip & PageMask;
        bool user = c->Cpl == 3;
        return single.Rip == c->Rip && single.Rip != SingleInstruction.Nowhere && c->CodeSize == 8
            && _fetches.TryFind(page, user, out FetchCache.Entry first) && first.Physical == single.FirstPage
            && _fetches.TryFind(page + 0x1000, user, out FetchCache.Entry second) && second.Physical == single.SecondPage
            && single.Matches(HostAddress(single.FirstPage), HostAddress(single.SecondPage))
            ? single.Instruction : null;
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
                c->Dr6 = (c->Dr6 & ~0xfUL) | hits;
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
                c->Dr6 = (c->Dr6 & ~0xfUL) | traps;
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

        TakeResets();

        if (Take(AttentionBits.Exit))
        {
            exit = new ProcessorExit(ProcessorExitReason.Requested);
            return false;
        }

        if (c->WaitingForStartUp)
        {
            exit = new ProcessorExit(ProcessorExitReason.Halted);
            Attend(AttentionBits.Halt);
            return false;
        }

        if (!c->InterruptShadow)
        {
            if ((c->Attention & (int)AttentionBits.NonMaskable) != 0 && !c->NonMaskableBlocked && Take(AttentionBits.NonMaskable))
            {
                c->Halted = false;
                if (!Events.Deliver(c, Fault.NonMaskableVector, EventKind.NonMaskable, false, 0))
                {
                    exit = new ProcessorExit(ProcessorExitReason.Shutdown);
                    return false;
                }
            }

            if (!DeliverInterrupt(c))
            {
                exit = new ProcessorExit(ProcessorExitReason.Shutdown);
                return false;
            }
        }

        if (c->Halted)
        {
            exit = new ProcessorExit(ProcessorExitReason.Halted);
            return false;
        }

        Take(AttentionBits.Halt);
        return true;
    }

    private bool DeliverInterrupt(ProcessorContext* c)
    {
        if ((c->SystemFlags & Flags.Interrupt) == 0)
        {
            // Setting IF raises the bit again.
            c->InterruptHeld |= Take(AttentionBits.Interrupt);
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

        // Stays up: there may be another, and this one may not be masked by the handler's gate.
        Attend(AttentionBits.Interrupt);
        if (!controller.TryAcknowledge(out byte vector))
        {
            return true;
        }

        c->Halted = false;
        return Events.Deliver(c, vector, EventKind.ExternalInterrupt, false, 0);
    }
}
