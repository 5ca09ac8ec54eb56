using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Translates one block of 64-bit code in one pass, or several that follow each other (<see cref="Trace"/>). Most instructions are written again with the same opcode, their registers renamed by <see cref="Host.Of"/>.
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

    // A loop's body is written this many times at most, and no more often than makes this many instructions: the accesses of all copies share their windows, and attention is paid once for all.
    private const int MaximumCopies = 4;
    private const int MaximumUnrolled = 28;

    /// <summary>Sites of one translation at most.</summary>
    public const int MaximumSites = 256;

    private readonly CodeCache _cache;
    private readonly CodeRoutines _routines;
    private readonly Translation* _translation;
    private readonly Block* _block;
    private readonly ulong _start;
    private readonly bool _compact;
    private readonly bool _shared;
    private readonly bool _isLoop;
    private readonly ProcessorFeatures _features;
    private readonly bool _wideVectors;
    private readonly Span<nint> _code;
    private readonly Span<ulong> _rips;
    private readonly Span<ColdPath> _cold;
    private readonly Span<uint> _liveAfter;
    private readonly Span<MemoryAccess> _accesses;
    private readonly Span<AccessWindow> _windows;
    private readonly Translation* _plain;
    private readonly int _count;
    private readonly int _copies;
    private HostAssembler _asm;
    private int _coldCount;
    private int _siteCount;
    private int _copy;
    private int _index;
    private bool _native;
    private Instruction* _instruction;
    private ulong _rip;
    private uint _live;
    private bool _records;

    // The window whose host address is in the address register, or -1.
    private int _held = -1;
    private fixed int _keys[ProcessorContext.SlotCount];

    private BlockTranslator(CodeCache cache, Translation* translation, bool wideVectors, HostAssembler asm, in Space space, bool mayUnroll)
    {
        _features = cache.Features;
        _wideVectors = wideVectors;
        _cache = cache;
        _routines = cache.Routines;
        _translation = translation;
        _block = translation->Block;
        _start = translation->Rip;
        _compact = translation->IsCompact;
        _shared = translation->IsShared;
        _asm = asm;
        _cold = space.Cold;
        _liveAfter = space.LiveAfter;
        _accesses = space.Accesses;
        _windows = space.Windows;
        _plain = translation->Plain;
        _code = space.Code;
        _rips = space.Rips;
        _count = ListInstructions();
        _isLoop = !_compact && IsDirect(InstructionAt(_count - 1)) && Target(_count - 1) == _start;
        _copies = _isLoop && mayUnroll && AccessesMemory() ? Math.Clamp(MaximumUnrolled / _count, 1, MaximumCopies) : 1;
    }

    private enum ColdKind
    {
        /// <summary>Interpret the instruction, then go on behind it.</summary>
        Interpret,

        /// <summary>Look for the page elsewhere and go on with the host address; if that fails, as <see cref="Interpret"/>.</summary>
        Miss,

        /// <summary>The same for a window; if that fails, go on in the compact translation.</summary>
        Window,

        /// <summary>Leave at the block's start.</summary>
        Start,

        /// <summary>Leave at the start, whose instruction may be another one now.</summary>
        Elsewhere,

        /// <summary>Leave the translation in its middle, by a jump to a known target.</summary>
        Jump,
    }

    /// <summary>Translates.</summary>
    /// <param name="cache">Where the shared routines are.</param>
    /// <param name="translation">What to make: its block, RIP and kind, and where its sites go. The rest is filled in.</param>
    /// <param name="wideVectors">The guest has AVX switched on.</param>
    /// <param name="asm">Where the code will stay, aligned to 8.</param>
    /// <returns>Bytes used, or 0 if it did not fit.</returns>
    [SkipLocalsInit]
    public static int Translate(CodeCache cache, Translation* translation, bool wideVectors, HostAssembler asm)
    {
        const int most = BlockCache.MaximumInstructions;
        Space space = new()
        {
            Code = stackalloc nint[most],
            Rips = stackalloc ulong[most],
            Cold = stackalloc ColdPath[MaximumCold],
            LiveAfter = stackalloc uint[most],
            Accesses = stackalloc MemoryAccess[most],
            Windows = stackalloc AccessWindow[MaximumCandidates],
        };

        // Lockstep compares one round at a time.
        bool mayUnroll = translation->Plain != null && !cache.IsCompared;
        int length = new BlockTranslator(cache, translation, wideVectors, asm, space, mayUnroll).Run();
        return length != 0 || !mayUnroll ? length : new BlockTranslator(cache, translation, wideVectors, asm, space, mayUnroll: false).Run();
    }

    private readonly bool AccessesMemory()
    {
        for (int n = 0; n < _count; n++)
        {
            if (InstructionAt(n)->IsMemory)
            {
                return true;
            }
        }

        return false;
    }

    private readonly int ListInstructions()
    {
        int count = 0;
        for (int n = 0; n < _translation->PartCount; n++)
        {
            TranslationPart part = _translation->Parts[n];
            Instruction* i = Block.Instructions(part.Block);
            ulong rip = part.Rip;
            for (int k = 0; k < part.Block->Count; k++, i++)
            {
                _code[count] = (nint)i;
                _rips[count++] = rip;
                rip += i->Length;
            }
        }

        return count;
    }

    private int Run()
    {
        uint liveIn = FindLiveness();
        _translation->UsesVectors = FindsVectors();
        _translation->UsesX87 = FindsX87();
        if (_plain != null)
        {
            FindWindows();
        }

        EmitEntry(liveIn);
        for (_copy = 0; _copy < _copies; _copy++)
        {
            TranslateBody();
        }

        NoteStart();
        if (!_translation->Parts[_translation->PartCount - 1].Block->SetsRip)
        {
            EmitDirectJump(Behind(_count - 1), _liveAfter[_count - 1]);
        }

        EmitColdPaths();
        EmitLookUpEntry();
        _translation->SiteCount = _siteCount;
        return _asm.Overflowed || _coldCount > MaximumCold || _siteCount > MaximumSites ? 0 : _asm.Length;
    }

    private void TranslateBody()
    {
        for (_index = 0; _index < _count; _index++)
        {
            BeginInstruction();
            NoteStart();
            if (!TranslateInstruction(_instruction))
            {
                EmitInterpreted();
            }
        }
    }

    private void BeginInstruction()
    {
        _instruction = InstructionAt(_index);
        _rip = _rips[_index];
        _live = _liveAfter[_index];
    }

    private readonly Instruction* InstructionAt(int index) => (Instruction*)_code[index];

    // The address behind an instruction.
    private readonly ulong Behind(int index) => _rips[index] + InstructionAt(index)->Length;

    private static bool IsDirect(Instruction* i) => Trace.IsConditional(i) || Trace.IsJump(i);

    // The target of a direct jump.
    private readonly ulong Target(int index) => Behind(index) + (ulong)InstructionAt(index)->Immediate;

    // The number of the instruction that is being translated, each copy counted.
    private readonly int At => (_copy * _count) + _index;

    // Where the translation goes on behind the current instruction, or null at its end.
    private readonly ulong? Following => _index + 1 < _count ? _rips[_index + 1] : _copy + 1 < _copies ? _start : null;

    private readonly void NoteStart()
    {
        if (_compact)
        {
            _translation->Starts[_index] = (ushort)(_asm.Length | (_native ? Translation.NativeFlags : 0));
        }
    }

    // Entries are five bytes at least, so that one store makes them lead elsewhere when the translation is dropped or replaced.
    private void EmitEntry(uint liveIn)
    {
        _translation->NativeEntry = _asm.Here;
        if (liveIn != 0)
        {
            _asm.Call(_routines.SaveFlags);
            _asm.Align(8);
        }

        _translation->Entry = _asm.Here;
        if (_compact)
        {
            _asm.ContextForm(0xff, 1, ContextLayout.HeatOf(_translation), false); // DEC
            _asm.Call(_routines.Entered(_translation->UsesVectors, _translation->UsesX87));
        }
        else
        {
            CodeRoutines.EmitAttention(ref _asm, _translation->UsesVectors);
            AddCold(ColdKind.Start, _asm.JumpIf(5));
            if (_translation->UsesX87)
            {
                CodeRoutines.EmitX87Needed(ref _asm);
                AddCold(ColdKind.Start, _asm.JumpIf(5));
            }
        }

        if (_block->Crosses)
        {
            EmitSecondPageGuard();
        }
    }

    // Leaves unless the page that the instruction ends in follows the one that it begins in.
    private void EmitSecondPageGuard()
    {
        uint number = _translation->SecondPage;
        ulong page = (_start & ~0xfffUL) + 0x1000;
        if (_shared)
        {
            EmitKnownAddress(Host.Address, page);
            CodeCache.EmitPlaceCheck(ref _asm, number);
        }
        else
        {
            CodeCache.EmitMappingCheck(ref _asm, page, number);
        }

        AddCold(ColdKind.Elsewhere, _asm.JumpIf(5));
    }

    // Where those enter who know the address but have not said in which page it is.
    private void EmitLookUpEntry()
    {
        _translation->LookUpEntry = _translation->Entry;
        if (_shared)
        {
            _translation->LookUpEntry = _asm.Here;
            EmitPage(_start);
            _asm.Jump(_translation->Entry);
        }
    }

    // Says in which page the code is, from the linear address of something that it knows, in the address register. Flags are lost.
    private void EmitPage(ulong address)
    {
        _asm.RegisterForm(0x81, 4, Host.Address, true); // AND
        _asm.Dword(~0xfff);
        if (address >= 0x1000)
        {
            _asm.Lea(Host.Address, Host.Address, -1, 0, -(int)(address & ~0xfffUL));
        }

        _asm.StoreContext(Host.Address, ContextLayout.Register(ProcessorContext.CodePageRegister));
    }

    // An address that the code knows, in shared code by its distance from the page, or its low 32 bits. Flags stay.
    private void EmitKnownAddress(int target, ulong address, bool wide = true)
    {
        if (!_shared)
        {
            _asm.MoveImmediate(target, (long)(wide ? address : (uint)address));
            return;
        }

        _asm.LoadContext(target, ContextLayout.Register(ProcessorContext.CodePageRegister));
        long distance = (long)address;
        if (distance != (int)distance)
        {
            // A displacement of 32 bits, and the offset in the page.
            _asm.Lea(target, target, -1, 0, distance < 0 ? int.MinValue : int.MaxValue);
            distance -= distance < 0 ? int.MinValue : int.MaxValue;
        }

        _asm.Lea(target, target, -1, 0, (int)distance, wide);
    }

    /// <summary>Moves the flags to the context. The address register is lost.</summary>
    private void EmitSave()
    {
        if (!_native)
        {
            return;
        }

        if (_compact)
        {
            _asm.Call(_routines.SaveFlags);
        }
        else
        {
            CodeRoutines.EmitSave(ref _asm);
        }

        _held = -1;
        _native = false;
    }

    /// <summary>Moves the flags to the host. The temporary register is lost.</summary>
    private void EmitRestore()
    {
        if (_native)
        {
            return;
        }

        if (_compact)
        {
            _asm.Call(_routines.RestoreFlags);
        }
        else
        {
            CodeRoutines.EmitRestore(ref _asm);
        }

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

    private void EmitInterpreted()
    {
        EmitSaveLive();
        _asm.Call(_routines.InterpretExit);
        int distance = _asm.Length;
        _asm.Byte(_index);
        _asm.Word(distance);
        _held = -1;
        _native = false;
    }

    private void AddCold(ColdKind kind, int place)
    {
        if (_coldCount < MaximumCold)
        {
            _cold[_coldCount] = new ColdPath { Kind = kind, Place = place, OtherPlace = -1, Index = _index, Native = _native };
        }

        _coldCount++;
    }

    private void AddMiss(int place, int otherPlace, byte* routine)
    {
        AddCold(ColdKind.Miss, place);
        ref ColdPath cold = ref _cold[Math.Min(_coldCount, MaximumCold) - 1];
        cold.OtherPlace = otherPlace;
        cold.Routine = routine;
        cold.Back = _asm.Length;
    }

    // What was just called may leave for the interpreter. Its resume is behind the instruction, and filled in there.
    private void AddSite(int index)
    {
        if (_siteCount < MaximumSites)
        {
            _translation->Sites[_siteCount] = new TranslationSite { Return = (ushort)_asm.Length, Index = (ushort)index };
        }

        _siteCount++;
    }

    // Gives the cold paths and sites of this instruction their way back.
    private void FinishInstruction(int cold, int site)
    {
        for (int n = cold; n < _coldCount && n < MaximumCold; n++)
        {
            _cold[n].Resume = _asm.Length;
        }

        for (int n = site; n < _siteCount && n < MaximumSites; n++)
        {
            _translation->Sites[n].Resume = (ushort)_asm.Length;
        }
    }

    private void EmitColdPaths()
    {
        int count = Math.Min(_coldCount, MaximumCold);
        for (int n = 0; n < count && !_asm.Overflowed; n++)
        {
            ref ColdPath cold = ref _cold[n];
            _asm.Bind(cold.Place);
            if (cold.OtherPlace >= 0)
            {
                _asm.Bind(cold.OtherPlace);
            }

            if (cold.Kind == ColdKind.Start)
            {
                _asm.Call(_routines.StartExit);
                continue;
            }

            if (cold.Kind == ColdKind.Elsewhere)
            {
                EmitKnownAddress(Host.Address, _start);
                _asm.Jump(_routines.DispatchExit);
                continue;
            }

            if (cold.Kind == ColdKind.Jump)
            {
                _native = cold.Native;
                EmitDirectJump(cold.Target, _liveAfter[cold.Index]);
                continue;
            }

            if (cold.Kind == ColdKind.Window)
            {
                EmitWindowMiss(cold);
                continue;
            }

            _asm.Call(cold.Kind == ColdKind.Miss ? cold.Routine : _routines.SiteExit);
            AddSite(cold.Index);
            _translation->Sites[Math.Min(_siteCount, MaximumSites) - 1].Resume = (ushort)cold.Resume;
            if (cold.Kind == ColdKind.Miss)
            {
                _asm.Jump(_asm.Here - _asm.Length + cold.Back);
            }
        }
    }

    private struct ColdPath
    {
        public ColdKind Kind;
        public int Place;
        public int OtherPlace;
        public int Index;
        public int Resume;
        public int Back;
        public bool Native;
        public ulong Target;
        public byte* Routine;
    }

    // What a translation is made with, on the stack.
    private ref struct Space
    {
        public Span<nint> Code;
        public Span<ulong> Rips;
        public Span<ColdPath> Cold;
        public Span<uint> LiveAfter;
        public Span<MemoryAccess> Accesses;
        public Span<AccessWindow> Windows;
    }
}
