using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Windows (<see cref="AccessWindow"/>). What a window has found stays good to the end of the translation: entries of the TLB are changed by nothing but managed code, and a translation that
/// has left for it in the middle goes on in the compact one (<see cref="Translation.Plain"/>), as does one whose window is not in one page or may not be accessed so.
/// </summary>
internal unsafe ref partial struct BlockTranslator
{
    private const int MaximumCandidates = 24;

    // Finds out which accesses share windows: by a translation that nobody keeps, which says what each instruction accesses.
    [SkipLocalsInit]
    private void FindWindows()
    {
        HostAssembler asm = _asm;
        _asm = new HostAssembler(null, 0, 0);
        _records = true;
        for (_index = 0; _index < _count; _index++)
        {
            BeginInstruction();
            _accesses[_index] = new MemoryAccess { Window = -1 };
            _accesses[_index].EndsWindows |= !TranslateInstruction(_instruction);
        }

        _records = false;
        _asm = asm;
        _coldCount = 0;
        _siteCount = 0;
        _native = false;
        for (int slot = 0; slot < ProcessorContext.SlotCount; slot++)
        {
            _keys[slot] = 0;
        }

        // Each copy of a loop's body makes the same accesses.
        for (int copy = 1; copy < _copies; copy++)
        {
            _accesses[.._count].CopyTo(_accesses[(copy * _count)..]);
        }

        GroupAccesses();
    }

    private void GroupAccesses()
    {
        // How far each register is from where it was.
        Span<long> moved = stackalloc long[ProcessorContext.CodePageRegister + 1];
        moved.Clear();
        int count = 0;
        for (int copy = 0; copy < _copies; copy++)
        {
            for (int n = 0; n < _count; n++)
            {
                Instruction* i = InstructionAt(n);
                int at = (copy * _count) + n;
                ref MemoryAccess access = ref _accesses[at];
                if (access.Size != 0)
                {
                    long low = moved[access.Base] + (moved[access.Index] << access.Scale) + access.Displacement;
                    int window = FindOpen(count, n, access, low);
                    if (window < 0 && count < MaximumCandidates)
                    {
                        window = count++;
                        _windows[window] = new AccessWindow { Leader = at, Count = 1, Low = low, High = low + access.Size, Writes = access.Writes, Number = -1, IsOpen = true };
                    }

                    access.Window = window;
                    access.Offset = (int)low;
                }

                int written = RegisterEffects.Written(i, i->Map == 0 ? null : FindVectorRow(i));
                if (RegisterEffects.IsStep(i, out int register, out long distance))
                {
                    moved[register] += distance;
                    written &= ~(1 << register);
                }

                CloseWindows(count, written, access.EndsWindows);
            }
        }

        NumberWindows(count);
    }

    // The window that an access joins, or -1. The latest one first: an array behind another one has a window of its own. What is only read before a branch may be a page that nobody may write.
    private readonly int FindOpen(int count, int index, in MemoryAccess access, long low)
    {
        int part = _translation->PartOf(index).First;
        for (int n = count - 1; n >= 0; n--)
        {
            bool mayJoin = !access.Writes || _windows[n].Writes || _translation->PartOf(_windows[n].Leader % _count).First == part;
            if (mayJoin && _windows[n].IsOpen && access.HasSameRegisters(_accesses[_windows[n].Leader]) && Joins(ref _windows[n], access, low))
            {
                return n;
            }
        }

        return -1;
    }

    private readonly void CloseWindows(int count, int written, bool all)
    {
        for (int n = 0; n < count; n++)
        {
            ref MemoryAccess leader = ref _accesses[_windows[n].Leader];
            _windows[n].IsOpen &= !all && ((written >> leader.Base) & 1) == 0 && ((written >> leader.Index) & 1) == 0;
        }
    }

    private void NumberWindows(int count)
    {
        int number = 0;
        for (int n = 0; n < count && number < AccessWindow.Maximum; n++)
        {
            if (_windows[n].Count > 1)
            {
                _windows[n].Number = number++;
            }
        }

        for (int n = 0; n < _copies * _count; n++)
        {
            ref MemoryAccess access = ref _accesses[n];
            if (access.Window < 0)
            {
                continue;
            }

            if (_windows[access.Window].Number < 0)
            {
                access.Window = -1;
                continue;
            }

            access.Offset -= (int)_windows[access.Window].Low;
        }
    }

    private static bool Joins(ref AccessWindow window, in MemoryAccess access, long low)
    {
        long from = Math.Min(window.Low, low);
        long to = Math.Max(window.High, low + access.Size);
        if (to - from > AccessWindow.MaximumSpan || (access.HasKnownOffset && ((from ^ (to - 1)) & ~0xfffL) != 0))
        {
            return false;
        }

        window.Low = from;
        window.High = to;
        window.Writes |= access.Writes;
        window.Count++;
        return true;
    }

    private void Record(in MemoryAccess made)
    {
        const int far = 1 << 30;
        ref MemoryAccess access = ref _accesses[_index];
        if (access.Size == 0 && (made.IsFixed || made.Displacement is > -far and < far))
        {
            bool ends = access.EndsWindows;
            access = made;
            access.EndsWindows = ends;
        }
    }

    // What may be accessed changes here.
    private readonly void EndWindows()
    {
        if (_records)
        {
            _accesses[_index].EndsWindows = true;
        }
    }

    // Whether the access that the instruction is about to make has a window.
    private readonly bool HasWindow(in MemoryAccess made)
    {
        if (_plain == null || _records)
        {
            return false;
        }

        ref MemoryAccess access = ref _accesses[At];
        return access.Window >= 0 && access.HasSameRegisters(made) && access.Displacement == made.Displacement && access.Writes == made.Writes;
    }

    /// <summary>The host address of the instruction's window into the address register; answers the access's distance from there.</summary>
    private int EmitWindow(int slot)
    {
        ref MemoryAccess access = ref _accesses[At];
        ref AccessWindow window = ref _windows[access.Window];
        if (window.Leader != At)
        {
            if (_held != window.Number)
            {
                _asm.LoadContext(Host.Address, ContextLayout.Window(window.Number));
                _held = window.Number;
            }

            return access.Offset;
        }

        EmitSaveLive();
        long first = access.Displacement - access.Offset;
        if (access.IsFixed)
        {
            _asm.MoveImmediate(Host.Address, first);
        }
        else
        {
            EmitSum(Host.Address, access.Base, access.Index, access.Scale, (int)first, wide: true);
        }

        (int missed, int crossed) = CheckRoutines.EmitLook(ref _asm, window.Span, window.Writes, slot);
        CheckRoutines.EmitHostAddress(ref _asm, window.Writes, slot);
        AddMiss(missed, crossed, _routines.Misses.OfWindow(slot, window.Writes));
        _cold[Math.Min(_coldCount, MaximumCold) - 1].Kind = ColdKind.Window;
        _asm.StoreContext(Host.Address, ContextLayout.Window(window.Number));
        _held = window.Number;
        return access.Offset;
    }

    // Behind a look that has failed: goes on in the compact translation if no level of the TLB has the window.
    private void EmitWindowMiss(in ColdPath cold)
    {
        _asm.Call(cold.Routine);
        _asm.JumpIf(4, _asm.Here - _asm.Length + cold.Back);
        TranslationPart part = _translation->PartOf(cold.Index);
        int index = cold.Index - part.First;
        if ((part.Plain->Starts[index] & Translation.NativeFlags) != 0)
        {
            _asm.Call(_routines.RestoreFlags);
        }

        _asm.Jump(part.Plain->StartOf(index));
    }

    // Whether an instruction leaves the address register alone, unless something on its way says otherwise.
    private static bool KeepsAddress(Instruction* i)
    {
        int op = i->Opcode & 0xff;
        int digit = (i->ModRm >> 3) & 7;
        return i->Map switch
        {
            0 => op is < 0x40 or (>= 0x50 and <= 0x5f) or 0x63 or 0x68 or 0x6a or 0x69 or 0x6b or (>= 0x80 and <= 0x85) or (>= 0x88 and <= 0x8b) or 0x8d
                or (>= 0xb0 and <= 0xbf) or 0xc0 or 0xc1 or 0xc6 or 0xc7 or (>= 0xd0 and <= 0xd3) or 0x98 or 0x99 or 0xa8 or 0xa9
                || (op is 0xf6 or 0xf7 && digit < 6) || (op is 0xfe or 0xff && digit < 2),
            1 => op is (>= 0x10 and <= 0x17) or (>= 0x28 and <= 0x2f) or (>= 0x40 and <= 0x7f) or (>= 0x90 and <= 0x9f) or 0xaf or 0xb6 or 0xb7 or 0xbe or 0xbf or >= 0xd0,
            _ => true,
        };
    }
}
