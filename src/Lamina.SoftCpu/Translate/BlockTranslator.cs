using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Translates one block of 64-bit code in one pass. Most instructions are written again with the same opcode, their registers renamed by <see cref="Host.Of"/>.
/// Every memory access is preceded by a look into the TLB that bounds it to one page of guest RAM; what misses, and every
/// instruction that is not translated, leaves for the interpreter and resumes behind it.
/// </summary>
/// <remarks>
/// Status flags are in one of two places: the host's flags (native) or <see cref="ProcessorContext.SavedFlags"/> (saved). They are moved only when somebody will
/// read them, which a backward pass over the block finds out.
/// </remarks>
internal unsafe ref partial struct BlockTranslator
{
    private const uint All = Flags.Status;
    private const int MaximumCold = 160;

    private readonly CodeCache _cache;
    private readonly Block* _block;
    private readonly ulong _start;
    private readonly ProcessorFeatures _features;
    private readonly bool _wideVectors;
    private readonly Span<ColdPath> _cold;
    private readonly Span<uint> _liveAfter;
    private HostAssembler _asm;
    private int _coldCount;
    private bool _native;
    private Instruction* _instruction;
    private ulong _rip;
    private uint _live;
    private bool _isLoop;
    private fixed int _keys[ProcessorContext.SlotCount];

    private BlockTranslator(CodeCache cache, Block* block, ulong rip, bool wideVectors, byte* buffer, int size, Span<ColdPath> cold, Span<uint> liveAfter)
    {
        _features = cache.Features;
        _wideVectors = wideVectors;
        _cache = cache;
        _block = block;
        _start = rip;
        _asm = new HostAssembler(buffer, size);
        _cold = cold;
        _liveAfter = liveAfter;
    }

    private enum ColdKind
    {
        /// <summary>Interpret the instruction, then resume with flags as the main path has them.</summary>
        Interpret,

        /// <summary>Look for the page elsewhere and go on with the host address; if that fails, as <see cref="Interpret"/>.</summary>
        Miss,

        /// <summary>Leave at the block's start.</summary>
        Attention,

        /// <summary>Leave to a direct target, asking for a link to its entry for native flags.</summary>
        Link,

        /// <summary>The same where the flags are saved.</summary>
        SavedLink,

        /// <summary>The same for a jump to another page.</summary>
        GuardedLink,

        /// <summary>Look a direct target up.</summary>
        LookUp,
    }

    /// <summary>Translates. Null if the code does not fit in the buffer. The code is position-dependent.</summary>
    /// <param name="cache">Where the shared routines are.</param>
    /// <param name="block">Decoded code.</param>
    /// <param name="rip">Its virtual address.</param>
    /// <param name="wideVectors">The guest has AVX switched on.</param>
    /// <param name="buffer">Where the code will stay, aligned to 16.</param>
    /// <param name="size">Bytes there.</param>
    /// <param name="translation">Filled in.</param>
    /// <returns>Bytes used, or 0 if it did not fit.</returns>
    public static int Translate(CodeCache cache, Block* block, ulong rip, bool wideVectors, byte* buffer, int size, Translation* translation)
    {
        Span<ColdPath> cold = stackalloc ColdPath[MaximumCold];
        Span<uint> liveAfter = stackalloc uint[block->Count];
        BlockTranslator t = new(cache, block, rip, wideVectors, buffer, size, cold, liveAfter);
        return t.Run(translation);
    }

    private int Run(Translation* translation)
    {
        uint liveIn = FindLiveness();
        translation->Rip = _start;
        translation->UsesVectors = FindsVectors();
        translation->UsesX87 = FindsX87();
        _rip = _start;
        _isLoop = IsLoop();
        EmitEntry(translation, liveIn);
        Instruction* i = Block.Instructions(_block);
        for (int n = 0; n < _block->Count; n++, i++)
        {
            _instruction = i;
            _live = _liveAfter[n];
            if (!TranslateInstruction(i))
            {
                EmitInterpreted(i);
            }

            _rip += i->Length;
        }

        if (!_block->SetsRip)
        {
            EmitDirectJump(_rip, _liveAfter[_block->Count - 1]);
        }

        EmitColdPaths();
        return _asm.Overflowed || _coldCount > MaximumCold ? 0 : _asm.Length;
    }

    // Flags that may be read after each instruction. Answers those live at the start.
    private readonly uint FindLiveness()
    {
        Instruction* first = Block.Instructions(_block);
        int last = _block->Count - 1;
        uint live = All;
        if ((first[last].Flags & InstructionFlags.EndsBlock) != 0)
        {
            live = FlagsAfterBranch(first + last);
        }

        for (int n = last; n >= 0; n--)
        {
            _liveAfter[n] = live;
            FlagEffects effects = FlagEffects.Of(first[n]);
            live = (live & ~effects.Writes) | effects.Reads;
        }

        return live;
    }

    private readonly uint FlagsAfterBranch(Instruction* i)
    {
        ulong next = _start + _block->ByteLength;
        ulong target = next + (ulong)i->Immediate;
        return i->Opcode switch
        {
            0xe9 or 0xeb or 0xe8 => FlagsLiveAt(target),
            (>= 0x70 and <= 0x7f) or (>= 0x180 and <= 0x18f) => FlagsLiveAt(target) | FlagsLiveAt(next),
            _ => All,
        };
    }

    // Looks at the first instructions at a target in the same page.
    private readonly uint FlagsLiveAt(ulong target)
    {
        if (((target ^ _start) & ~0xfffUL) != 0)
        {
            return All;
        }

        byte* page = _cache.PageOf(_block->Physical);
        int offset = (int)(target & 0xfff);
        uint unknown = All;
        uint live = 0;
        for (int n = 0; n < 6 && offset < 0x1000 && unknown != 0; n++)
        {
            if (Decoder.Decode(page + offset, 0x1000 - offset, 8, out Instruction i) != DecodeStatus.Done)
            {
                break;
            }

            FlagEffects effects = FlagEffects.Of(i);
            live |= effects.Reads & unknown;
            unknown &= ~effects.Writes & ~effects.Reads;
            offset += i.Length;
            bool indirect = i.Opcode == 0xff && ((i.ModRm >> 3) & 7) is >= 2 and <= 5;
            if (indirect || i.Opcode is 0xe9 or 0xeb or 0xe8 or 0xc3 or 0xc2 or (>= 0x70 and <= 0x7f) or (>= 0x180 and <= 0x18f))
            {
                break;
            }
        }

        return live | unknown;
    }

    private void EmitEntry(Translation* translation, uint liveIn)
    {
        _asm.Align(8);
        translation->NativeEntry = _asm.Here;
        if (liveIn != 0)
        {
            // A jump is written over the first five bytes when the block is dropped: they must be one instruction, because a processor may be behind it.
            _asm.Opcode(0x0f1f44);
            _asm.Byte(0);
            _asm.Byte(0);
            _native = true;
            EmitSave();
            _asm.Align(8);
        }

        translation->Entry = _asm.Here;

        // CMP DWORD [Attention], 0; JNE. As a QWORD it looks at VectorsOff too.
        _asm.ContextForm(0x83, 7, ContextLayout.Attention, translation->UsesVectors);
        _asm.Byte(0);
        AddCold(ColdKind.Attention, _asm.JumpIf(5), null, 0);
        if (translation->UsesX87)
        {
            _asm.ContextForm(0x83, 7, ContextLayout.X87Off, false);
            _asm.Byte(0);
            AddCold(ColdKind.Attention, _asm.JumpIf(5), null, 0);
        }

        _native = false;
        _entry = translation;
    }

    private Translation* _entry;

    /// <summary>Moves the flags to the context. RAX keeps its value; the address register is lost.</summary>
    private void EmitSave()
    {
        if (!_native)
        {
            return;
        }

        _asm.Move(Host.Address, Host.Rax);
        EmitSaveThroughRax();
        _asm.Move(Host.Rax, Host.Address);
        _native = false;
    }

    private void EmitSaveThroughRax()
    {
        _asm.Byte(0x9f); // LAHF
        _asm.Opcode(0x0f90); // SETO AL
        _asm.Byte(0xc0);
        _asm.Byte(0x66); // MOV [SavedFlags], AX
        _asm.ContextForm(0x89, Host.Rax, ContextLayout.SavedFlags, false);
    }

    /// <summary>Moves the flags to the host. The temporary register is lost.</summary>
    private void EmitRestore()
    {
        if (_native)
        {
            return;
        }

        _asm.Move(Host.Temporary, Host.Rax);
        _asm.ContextForm(0x0fb7, Host.Rax, ContextLayout.SavedFlags, false); // MOVZX EAX, WORD [SavedFlags]
        _asm.Byte(0x04); // ADD AL, 7FH: OF if AL is 1
        _asm.Byte(0x7f);
        _asm.Byte(0x9e); // SAHF
        _asm.Move(Host.Rax, Host.Temporary);
        _native = true;
    }

    /// <summary>Before something that spoils the host's flags: saves those that are needed by this instruction or later.</summary>
    private void EmitSaveLive()
    {
        FlagEffects effects = FlagEffects.Of(*_instruction);
        if ((effects.Reads | (_live & ~effects.Writes)) != 0)
        {
            EmitSave();
        }
        else
        {
            _native = false;
        }
    }

    /// <summary>Before an instruction that reads flags or leaves some that are needed.</summary>
    private void EmitRestoreNeeded()
    {
        FlagEffects effects = FlagEffects.Of(*_instruction);
        bool keeps = effects.Writes != 0 && (_live & ~effects.Writes) != 0;
        if (effects.Reads != 0 || keeps)
        {
            EmitRestore();
        }
    }

    private void NoteWritten()
    {
        if (FlagEffects.Of(*_instruction).Writes != 0)
        {
            _native = true;
        }
    }

    private void EmitInterpreted(Instruction* i)
    {
        EmitSaveLive();
        int place = _asm.JumpForward();
        AddCold(ColdKind.Interpret, place, i, 0);
        LastCold.Resume = (i->Flags & InstructionFlags.EndsBlock) != 0 ? -1 : _asm.Length;
        _native = false;
    }

    private readonly ref ColdPath LastCold => ref _cold[Math.Min(_coldCount, MaximumCold) - 1];

    private void AddCold(ColdKind kind, int place, Instruction* i, ulong target)
    {
        if (_coldCount < MaximumCold)
        {
            _cold[_coldCount] = new ColdPath { Kind = kind, Place = place, Instruction = i, Rip = _rip, Target = target, Resume = -1 };
        }

        _coldCount++;
    }

    // Gives the cold paths of this instruction their way back.
    private void FinishCold(int first)
    {
        for (int n = first; n < _coldCount && n < MaximumCold; n++)
        {
            if (_cold[n].Kind is ColdKind.Interpret or ColdKind.Miss)
            {
                _cold[n].Resume = _asm.Length;
                _cold[n].RestoreFlags = _native && _live != 0;
            }
        }
    }

    private void EmitColdPaths()
    {
        int count = Math.Min(_coldCount, MaximumCold);
        for (int n = 0; n < count && !_asm.Overflowed; n++)
        {
            ref ColdPath cold = ref _cold[n];
            if (cold.Place >= 0)
            {
                _asm.Bind(cold.Place);
            }

            switch (cold.Kind)
            {
                case ColdKind.Attention:
                    EmitAttentionExit();
                    break;
                case ColdKind.LookUp:
                    _asm.MoveImmediate(Host.Address, (long)cold.Target);
                    int missed = EmitLookUp();
                    _asm.MemoryForm(0xff, 4, Host.Temporary, ContextLayout.JumpCode, false); // JMP [entry.Code]
                    _asm.Bind(missed);
                    _asm.Jump(_cache.DispatchExit);
                    break;
                case ColdKind.Link or ColdKind.SavedLink or ColdKind.GuardedLink:
                    EmitCall(cold.Kind == ColdKind.Link ? _cache.LinkExit : _cache.SavedLinkExit);
                    _asm.Qword((long)cold.Target);
                    _asm.Qword((long)(_asm.Here - _asm.Length + cold.Place));
                    _asm.Qword((long)_block);
                    _asm.Qword((long)(cold.Kind switch { ColdKind.Link => LinkKind.Native, ColdKind.SavedLink => LinkKind.Saved, _ => LinkKind.Guarded }));
                    break;
                default:
                    if (cold.Kind == ColdKind.Miss)
                    {
                        EmitCall((byte*)cold.Target);
                        _asm.Jump(_asm.Here - _asm.Length + cold.Back);
                    }
                    else
                    {
                        EmitCall(_cache.InterpretExit);
                    }

                    _asm.Qword((long)cold.Instruction);
                    _asm.Qword((long)cold.Rip);
                    if (cold.Resume >= 0)
                    {
                        if (cold.RestoreFlags)
                        {
                            _native = false;
                            EmitRestore();
                        }

                        _asm.Jump(_asm.Here - _asm.Length + cold.Resume);
                    }

                    break;
            }
        }
    }

    private void EmitAttentionExit()
    {
        _entry->Exit = _asm.Here;
        EmitCall(_cache.RipExit);
        _asm.Qword((long)_start);
        _entry->NativeExit = _asm.Here;
        _native = true;
        EmitSave();
        EmitCall(_cache.RipExit);
        _asm.Qword((long)_start);
    }

    private void EmitCall(byte* target)
    {
        _asm.Byte(0xe8);
        _asm.Dword((int)(target - (_asm.Here + 4)));
    }

    private struct ColdPath
    {
        public ColdKind Kind;
        public int Place;
        public Instruction* Instruction;
        public ulong Rip;
        public ulong Target;
        public int Resume;
        public int Back;
        public bool RestoreFlags;
    }
}
