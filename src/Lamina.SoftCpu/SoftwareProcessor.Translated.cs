using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu;

/// <summary>Running translated code.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    private const int TranslationThreshold = 2;

    // Numbering a page anew costs as much as some tens of look-ups, and two pages may have the same place for their numbers.
    private const int GuardPatience = 64;

    private readonly CodeCache? _code;
    private uint _exits;

    /// <summary>Instructions interpreted for translated code.</summary>
    public ulong Assisted { get; private set; }

    /// <summary>The block's translation for the current address, if it has been executed often enough; null: interpret. <paramref name="shared"/>: no other will do.</summary>
    private Translation* FindCode(ProcessorContext* c, Block* block, bool shared = false)
    {
        Translation* t = shared ? CodeCache.Find(block, c->Rip & 0xfff, shared) : CodeCache.Find(block, c->Rip);
        FetchCache.Entry second = default;
        if (block->Crosses && (!FindSecondPage(c, c->Rip, out second) || second.Physical != Block.Tail(block)->Page))
        {
            return null;
        }

        if (t == null)
        {
            if (block->Heat < TranslationThreshold && _lockstep == null)
            {
                block->Heat++;
                return null;
            }

            if (_code!.IsFull)
            {
                _partition.ClearBlocks(c);
                return null;
            }

            t = _code.Translate(block, c->Rip, shared, second.Mapping, second.Place, (c->Gates & UnitGates.Avx) != 0);
            if (t == null)
            {
                return null;
            }
        }

        if (block->Crosses && t->SecondPage != (t->IsShared ? second.Place : second.Mapping))
        {
            // Its guard knows the second page by another number.
            return null;
        }

        if (_lockstep == null)
        {
            Jumps.SetCode(c->Jumps, c->Rip, block, t->LookUpEntry);
        }

        return t;
    }

    /// <summary>
    /// Lets translated code keep the vector registers, if no instruction could find its unit off or raise an exception that the guest has not masked.
    /// </summary>
    private bool SwitchVectorsOn(ProcessorContext* c)
    {
        const uint exceptionMasks = 0x1f80;
        UnitGates needed = UnitGates.Sse | (_code!.UsesWideVectors ? UnitGates.Avx : UnitGates.None);
        bool on = (c->Gates & needed) == needed && (c->Mxcsr & exceptionMasks) == exceptionMasks;
        c->VectorsOff = on ? 0 : 1;
        return on;
    }

    /// <summary>The same for the x87 registers.</summary>
    private bool SwitchX87On(ProcessorContext* c)
    {
        const ushort exceptionMasks = 0x3f;
        const ushort summary = 0x8080;
        bool on = (c->Gates & UnitGates.X87) != 0 && (X87Image.Control(c) & exceptionMasks) == exceptionMasks && (X87Image.Status(c) & summary) == 0;
        if (on)
        {
            *(uint*)(c->X87Image + X87Image.Mxcsr) = DefaultMxcsr;
        }

        c->X87Off = on ? 0 : 1;
        return on;
    }

    // Whether what translated code keeps in the host's registers may stay there; what may not is switched off.
    private bool KeepUnits(ProcessorContext* c)
    {
        bool vectors = c->VectorsOff != 0 || SwitchVectorsOn(c);
        bool x87 = c->X87Off != 0 || SwitchX87On(c);
        return vectors && x87;
    }

    // Whether a translation finds the units that it demands.
    private bool ProvideUnits(ProcessorContext* c, Translation* t)
    {
        return (!t->UsesVectors || c->VectorsOff == 0 || SwitchVectorsOn(c)) && (!t->UsesX87 || c->X87Off == 0 || SwitchX87On(c));
    }

    /// <summary>Runs code until it leaves for the run loop. False: shut down.</summary>
    private bool RunTranslated(ProcessorContext* c, byte* code)
    {
        KeepUnits(c);
        ulong entered = c->Rip;
        while (true)
        {
            c->SavedFlags = PackFlags(c);
            TranslationExit exit = _code!.Routines.Enter(c, code);
            UnpackFlags(c);
            byte* data = (byte*)c->ExitData;
            switch (exit)
            {
                case TranslationExit.Start:
                    Translation* begun = _code.FindPlace(exit, data).Translation;
                    c->Rip = begun->RipIn(c);
                    if (c->Attention == 0 && CodeCache.Find(begun->Block, begun->Rip, begun->IsShared) == begun && ProvideUnits(c, begun) && KeepUnits(c))
                    {
                        // It wanted registers that were elsewhere.
                        code = begun->LookUpEntry;
                        entered = c->Rip;
                        continue;
                    }

                    goto case TranslationExit.Dispatch;
                case TranslationExit.Hot:
                    if (Promote(c, _code.FindPlace(exit, data).Translation, out code))
                    {
                        entered = c->Rip;
                        continue;
                    }

                    return true;
                case TranslationExit.Renumber:
                    Renumber(c);
                    goto case TranslationExit.Dispatch;
                case TranslationExit.Dispatch:
                    // Moving them costs more than an exit: whoever needs them says so again.
                    if ((++_exits & 15) == 0)
                    {
                        c->VectorsOff = 1;
                        c->X87Off = 1;
                    }

                    if (c->Rip != entered && FindNext(c, out code))
                    {
                        entered = c->Rip;
                        continue;
                    }

                    return true;
                case TranslationExit.Link:
                    CodePlace jump = _code.FindPlace(exit, data);
                    c->Rip = CodeCache.TargetOf(c, jump.Translation, data);
                    if (_lockstep != null)
                    {
                        return true;
                    }

                    Link(c, jump.Translation, data);
                    return true;
            }

            CodePlace place = _code.FindPlace(exit, data);
            Instruction* i = place.Instruction;
            ulong rip = place.RipIn(c);
            code = place.Resume;
            c->Rip = rip;
            Assisted++;
            bool done = i->Handler(c, i);
            c->InstructionsRetired += done ? 1UL : 0;
            if (!done)
            {
                return Leave(c);
            }

            if ((i->Flags & InstructionFlags.EndsBlock) != 0)
            {
                if (KeepUnits(c) && FindNext(c, out code))
                {
                    entered = c->Rip;
                    continue;
                }

                return true;
            }

            if (!KeepUnits(c))
            {
                // What follows in the block relies on them.
                c->Rip = rip + i->Length;
                return true;
            }

            if (c->Attention != 0 || (i->Flags & InstructionFlags.Dropped) != 0 || Volatile.Read(ref place.Translation->IsDropped))
            {
                c->Rip = rip + i->Length;
                return true;
            }
        }
    }

    // Replaces a translation that has run often by a better one. True: that is to be run.
    private bool Promote(ProcessorContext* c, Translation* t, out byte* code)
    {
        code = null;
        c->Rip = t->RipIn(c);
        c->Heat[ContextLayout.HeatIndex(t)] = _code!.HotThreshold;
        Block* block = t->Block;
        if (_code!.IsFull)
        {
            _partition.ClearBlocks(c);
            return false;
        }

        Translation* better = null;
        if (block->Valid && block->Translations != null)
        {
            // Lockstep compares one block at a time.
            TranslationParts parts = default;
            parts[0] = new TranslationPart { Block = block, Rip = t->Rip, Plain = t };
            int count = _code.IsCompared ? 1 : Trace.Extend(_blocks, c->Heat, _code.HotThreshold, ref parts);
            better = _code.Translate(parts, count, (c->Gates & UnitGates.Avx) != 0);
        }

        if (better != null && better->IsCompact)
        {
            // It does not fit in: never again.
            c->Heat[ContextLayout.HeatIndex(t)] = int.MaxValue;
        }

        if (better == null || c->Attention != 0 || !ProvideUnits(c, better) || !KeepUnits(c))
        {
            return false;
        }

        if (_lockstep == null)
        {
            Jumps.SetCode(c->Jumps, c->Rip, block, better->LookUpEntry);
        }

        code = better->LookUpEntry;
        return true;
    }

    // The translation cached for the current address, if nothing else is to be done first.
    private bool FindNext(ProcessorContext* c, out byte* code)
    {
        code = null;
        return c->Attention == 0 && _lockstep == null && _jumpEpoch == _blocks.Epoch && Jumps.TryGetCode(c->Jumps, c->Rip, out code);
    }

    // What was forgotten with an address space's other numbers, or given up for another page's, is not missed by whoever finds the code in the jump cache.
    private void Renumber(ProcessorContext* c)
    {
        c->GuardPatience = GuardPatience;
        if (FindPage(c, c->Rip & PageMask, out FetchCache.Entry page))
        {
            Jumps.SetMapping(c->Rip, page.Mapping, page.Global);
            Jumps.SetPlace(c->Rip, page.Place, page.Global);
        }
    }

    // Connects a direct jump with its target, which RIP is at.
    private void Link(ProcessorContext* c, Translation* from, byte* data)
    {
        int epoch = _blocks.Epoch;
        Block* to = FindBlock(c);
        if (to == null || epoch != _blocks.Epoch || to->CodeSize != 8)
        {
            return;
        }

        Translation* target = FindCode(c, to, from->IsShared);
        if (target == null || epoch != _blocks.Epoch)
        {
            return;
        }

        if (CodeCache.KindOf(data) != LinkKind.Guarded)
        {
            if (((to->Physical ^ from->Block->Physical) & PageMask) == 0)
            {
                _code!.Link(from, data, to, target, c->Rip, 0);
            }
        }
        else if (FindPage(c, c->Rip & PageMask, out FetchCache.Entry page) && page.Physical == (to->Physical & PageMask))
        {
            // Until it is invalidated, the block may have been found where the page was before: the number that it has now would be asked for ever after. What the guard asks for may also be that of
            // another page, and the block may have been found without a look at it.
            if (from->IsShared)
            {
                Jumps.SetPlace(c->Rip, page.Place, page.Global);
            }
            else if (c->Mappings[ContextLayout.MappingSlot(c->Rip)] != page.Mapping)
            {
                Jumps.SetMapping(c->Rip, page.Mapping, page.Global);
            }

            _code!.Link(from, data, to, target, c->Rip, from->IsShared ? page.Place : page.Mapping);
        }
    }

    // LAHF and SETO.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ushort PackFlags(ProcessorContext* c)
    {
        uint flags = Flags.GetStatus(c);
        return (ushort)(((flags & 0xd5) << 8) | ((flags >> 11) & 1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void UnpackFlags(ProcessorContext* c)
    {
        uint saved = c->SavedFlags;
        uint flags = saved >> 8;
        c->FlagCarry = (flags & (Flags.Carry | Flags.Adjust)) | ((saved & 1) << 11);
        c->FlagZero = (flags & Flags.Zero) ^ Flags.Zero;
        c->FlagSign = ((ulong)(flags & Flags.Sign) << 56) | (((flags & Flags.Parity) ^ Flags.Parity) >> 2);
    }
}
