using System.Runtime.CompilerServices;
using Lamina.Interop.Processors;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu;

/// <summary>The run loop of the interpreter.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    /// <summary>Entries of the cache of block look-ups.</summary>
    public const int JumpCount = 4096;

    private readonly JumpEntry* _jumps;
    private readonly Instruction* _single;
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
                byte* code = FindCode(c, block);
                if (code != null)
                {
                    if (!(_lockstep == null ? RunTranslated(c, code) : RunLockstep(c, block, code)))
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
        ulong page = linear & PageMask;
        if ((_fetchedPages[FetchedWord(page)] & FetchedBit(page)) == 0)
        {
            return;
        }

        JumpEntry* entry = _jumps;
        for (int i = 0; i < JumpCount; i++, entry++)
        {
            if ((entry->Linear & PageMask) == page)
            {
                entry->Key = 0;
            }
        }

        if (_fetchPage == page)
        {
            _fetchKey = 0;
        }
    }

    /// <summary>Forgets all cached block look-ups.</summary>
    public void ClearFetchCaches()
    {
        new Span<JumpEntry>(_jumps, JumpCount).Clear();
        Array.Clear(_fetchedPages);
        _fetchKey = 0;
    }

    private static int FetchedWord(ulong page) => (int)(page >> 18) & 63;

    private static ulong FetchedBit(ulong page) => 1UL << (int)((page >> 12) & 63);

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

    // Key of the cached look-ups: everything but the address that decides what is found.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong FetchKey(ProcessorContext* c) => (c->TlbGeneration << 8) | ((ulong)c->CodeSize << 1) | (c->Cpl == 3 ? 1UL : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Block* FindBlock(ProcessorContext* c)
    {
        ulong linear = c->CodeSize == 8 ? c->Rip : (uint)(c->Segments[SegmentRegister.Cs].Base + c->Rip);
        JumpEntry* entry = _jumps + ((linear ^ (linear >> 12)) & (JumpCount - 1));
        if (entry->Linear == linear && entry->Key == FetchKey(c) && _jumpEpoch == _blocks.Epoch)
        {
            Block* block = entry->Block;
            if (block->Valid && (c->CodeSize == 8 || c->Rip + block->ByteLength - 1 <= c->Segments[SegmentRegister.Cs].Limit))
            {
                return block;
            }
        }

        return FindBlockSlow(c, linear, entry);
    }

    private Block* FindBlockSlow(ProcessorContext* c, ulong linear, JumpEntry* entry)
    {
        if (_jumpEpoch != _blocks.Epoch)
        {
            _jumpEpoch = _blocks.Epoch;
            ClearFetchCaches();
        }

        ulong key = FetchKey(c);
        ulong physical;
        if (_fetchKey == key && _fetchPage == (linear & PageMask))
        {
            physical = _fetchPhysical | (linear & 0xfff);
        }
        else
        {
            if ((c->CodeSize == 8 && !MemoryUnit.IsCanonical(linear)) || !MemoryUnit.TranslateFetch(c, linear, out physical))
            {
                return null;
            }

            _fetchKey = key;
            _fetchPage = linear & PageMask;
            _fetchPhysical = physical & PageMask;
        }

        Block* block = _blocks.Find(physical, c->CodeSize);
        if (block == null)
        {
            block = _blocks.Create(c, physical, c->CodeSize);
            if (block == null)
            {
                return null;
            }

            if (_jumpEpoch != _blocks.Epoch)
            {
                _jumpEpoch = _blocks.Epoch;
                ClearFetchCaches();
            }
        }

        ulong page = linear & PageMask;
        _fetchedPages[FetchedWord(page)] |= FetchedBit(page);
        entry->Linear = linear;
        entry->Key = key;
        entry->Block = block;
        entry->Code = _code == null ? null : _code.DispatchExit;
        return c->CodeSize == 8 || c->Rip + block->ByteLength - 1 <= c->Segments[SegmentRegister.Cs].Limit ? block : null;
    }

    // A bit for each page (by the low bits of its number) of which some look-up may be cached.
    private readonly ulong[] _fetchedPages = new ulong[64];
    private ulong _fetchKey;
    private ulong _fetchPage;
    private ulong _fetchPhysical;

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

            if (!MemoryUnit.TranslateFetch(c, linear, out ulong physical))
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

            byte* host = HostAddress(physical);
            if (host != null)
            {
                Buffer.MemoryCopy(host, bytes + available, run, run);
            }
            else
            {
                AccessDevice(physical, bytes + available, run, false);
            }

            available += run;
        }

        // A translation that failed only matters if the instruction needs those bytes.
        DecodeStatus status = Decoder.Decode(bytes, available, c->CodeSize, out *_single);
        switch (status)
        {
            case DecodeStatus.Done:
                _partition.Bind(_single, c->CodeSize);
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
            Take(AttentionBits.Interrupt);
            return true;
        }

        if (!Take(AttentionBits.Interrupt) || Controller is not { HasInterrupt: true } controller)
        {
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
