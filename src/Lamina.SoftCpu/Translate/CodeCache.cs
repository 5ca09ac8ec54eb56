using System.Diagnostics;
using System.Runtime.CompilerServices;
using Lamina.Interop.Memory;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Blocks;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// The translated code of one VM. Filled under a lock; emptied only at a safe point, together with the block cache. A dropped translation stays in memory until then: its
/// entries lead out.
/// </summary>
internal sealed unsafe partial class CodeCache : IDisposable
{
    /// <summary>Bytes of code that a VM may keep, if nobody says otherwise.</summary>
    public const int DefaultSize = 64 << 20;

    private const int MaximumBlock = 16 << 10;
    private const int RoutineSpace = 16 << 10;

    // Code of so many bytes is found together.
    private const int GranuleShift = 6;
    private const int Header = 8;

    // A site belongs to a call of five bytes, and few instructions have more than one.
    private const int BytesPerSite = 8;

    // An instruction that is translated compactly takes more.
    private const int BytesPerStart = 4;

    // So does a translation with its header and entry.
    private const int BytesPerTranslation = 16;

    private readonly GuestMemory _memory;
    private readonly ExecutableMemory _code;
    private readonly byte* _base;
    private readonly nint _writeDistance;
    private readonly Lock _lock = new();

    // Every Translation in memory, in the order of their code. Read without the lock: the count is written after what it counts.
    private readonly Translation** _translations;

    // Where the code of each of them begins, from the base.
    private readonly uint* _begins;
    private readonly ITranslationObserver? _observer;
    private readonly bool _sharesAll;
    private readonly nuint _routinesEnd;
    private readonly nuint _size;

    // The translation (its number plus one) in which each granule of code begins, or the first that begins in it.
    private readonly int* _granules;

    // Every Translation and TranslationGuard, one behind the other; gone when the code is.
    private readonly byte* _records;
    private nuint _recordsUsed;

    private readonly List<MemoryMapping> _tables = [];
    private readonly TranslationSite* _sites;
    private readonly int _siteCapacity;
    private nuint _used;
    private readonly ushort* _starts;
    private readonly int _startCapacity;
    private int _siteCount;
    private int _startCount;
    private int _translationCount;

    public CodeCache(GuestMemory memory, ProcessorFeatures features, int size = DefaultSize, TranslatorOptions? options = null)
    {
        Features = features;
        _memory = memory;
        _observer = options?.Observer;
        IsCompared = options?.Lockstep != null;
        _sharesAll = options?.SharesAll ?? false;
        HotThreshold = options?.HotThreshold ?? new TranslatorOptions().HotThreshold;
        _size = (nuint)size;
        _code = ExecutableMemory.Map(_size, strict: options?.StrictCode ?? false);
        _base = _code.ExecutePointer;
        _writeDistance = (nint)(_code.WritePointer - _code.ExecutePointer);
        _siteCapacity = size / BytesPerSite;
        _sites = (TranslationSite*)Map(_siteCapacity, sizeof(TranslationSite));
        _startCapacity = size / BytesPerStart;
        _starts = (ushort*)Map(_startCapacity, sizeof(ushort));
        _translations = (Translation**)Map(size / BytesPerTranslation, sizeof(Translation*));
        _begins = (uint*)Map(size / BytesPerTranslation, sizeof(uint));
        _granules = (int*)Map((size >> GranuleShift) + 1, sizeof(int));
        _records = Map(size, 1);
        HostAssembler asm = new(_base, RoutineSpace, _writeDistance);
        Routines = new CodeRoutines(ref asm);
        if (asm.Overflowed)
        {
            throw new InvalidOperationException("the routines do not fit in their space");
        }

        _routinesEnd = _used = RoutineSpace;
    }

    /// <summary>What the guest's processors offer.</summary>
    public ProcessorFeatures Features { get; }

    /// <summary>See <see cref="TranslatorOptions.HotThreshold"/>.</summary>
    public int HotThreshold { get; }

    /// <summary>
    /// What is translated is compared with the interpreter (lockstep). Repeated string instructions, which may leave in the middle, and those that show the guest flags which earlier
    /// instructions have left undefined are then the interpreter's.
    /// </summary>
    public bool IsCompared { get; }

    /// <summary>Some translation uses AVX: a processor that has it switched off must not run vector code.</summary>
    public bool UsesWideVectors { get; private set; }

    /// <summary>What all translations share.</summary>
    public CodeRoutines Routines { get; }

    /// <summary>Every <see cref="Translation"/> in memory, dropped ones too.</summary>
    public ReadOnlySpan<nint> Translations => new(_translations, Volatile.Read(ref _translationCount));

    /// <summary>Bytes of translated code.</summary>
    public nuint Used => _used;

    /// <summary>Translations made since creation.</summary>
    public long Count { get; private set; }

    /// <summary>Guest bytes translated since creation.</summary>
    public long GuestBytes { get; private set; }

    /// <summary>Host bytes written since creation.</summary>
    public long HostBytes { get; private set; }

    /// <summary>Whether the next block might not fit.</summary>
    public bool IsFull => _used + MaximumBlock > _size || _recordsUsed + (nuint)sizeof(Translation) > _size || _siteCount + BlockTranslator.MaximumSites > _siteCapacity || _startCount + BlockCache.MaximumInstructions + 1 > _startCapacity;

    /// <summary>Host address of the page that holds a guest-physical address.</summary>
    public byte* PageOf(ulong physical) => (byte*)_memory.GetHostAddress(physical & ~0xfffUL, 0x1000);

    /// <summary>Copies the guest's code of a block.</summary>
    /// <param name="block">The block.</param>
    /// <param name="code">Where to; as long as the block, or longer.</param>
    public void CopyCode(Block* block, Span<byte> code)
    {
        int offset = (int)(block->Physical & 0xfff);
        int first = Math.Min(block->ByteLength, 0x1000 - offset);
        new ReadOnlySpan<byte>(PageOf(block->Physical) + offset, first).CopyTo(code);
        if (block->Crosses)
        {
            new ReadOnlySpan<byte>(PageOf(Block.Tail(block)->Page), block->ByteLength - first).CopyTo(code[first..]);
        }
    }

    /// <summary>Finds the translation of a block for an address, the best one: made for it, or shared.</summary>
    public static Translation* Find(Block* block, ulong rip)
    {
        Translation* t = First(block);
        while (t != null && !t->IsShared && t->Rip != rip)
        {
            t = t->Next;
        }

        return t;
    }

    /// <summary>Finds a translation of that kind, the best one.</summary>
    /// <param name="block">The block.</param>
    /// <param name="rip">See <see cref="Translation.Rip"/>.</param>
    /// <param name="shared">See <see cref="Translation.IsShared"/>.</param>
    public static Translation* Find(Block* block, ulong rip, bool shared)
    {
        Translation* t = First(block);
        while (t != null && (t->IsShared != shared || t->Rip != rip))
        {
            t = t->Next;
        }

        return t;
    }

    /// <summary>
    /// Translates a valid block quickly and small, with its heat counted: for its address, or if it has been translated for another one before, for all. Null if there is no room, or it was
    /// dropped meanwhile.
    /// </summary>
    /// <param name="block">The block.</param>
    /// <param name="rip">Where it is.</param>
    /// <param name="shared">Only a shared translation will do.</param>
    /// <param name="mapping">Of a block that crosses, how its second page is mapped.</param>
    /// <param name="place">And where that is.</param>
    /// <param name="wideVectors">AVX is switched on.</param>
    public Translation* Translate(Block* block, ulong rip, bool shared, uint mapping, uint place, bool wideVectors)
    {
        shared |= _sharesAll || First(block) != null;
        uint second = shared ? place : mapping;
        if (block->Crosses && second == 0)
        {
            return null;
        }

        TranslationParts parts = default;
        parts[0] = new TranslationPart { Block = block, Rip = shared ? rip & 0xfff : rip };
        return Translate(parts, 1, shared, shared ? rip & ~0xfffUL : 0, second, wideVectors);
    }

    /// <summary>Translates what has run often, better: the first part has a compact translation, which is answered if there is no other one.</summary>
    public Translation* Translate(in TranslationParts parts, int count, bool wideVectors)
    {
        Translation* plain = parts[0].Plain;
        return Translate(parts, count, plain->IsShared, plain->FirstPage, plain->SecondPage, wideVectors);
    }

    private static Translation* First(Block* block) => (Translation*)Volatile.Read(ref *(nint*)&block->Translations);

    private Translation* Translate(in TranslationParts parts, int count, bool shared, ulong page, uint second, bool wideVectors)
    {
        Block* block = parts[0].Block;
        ulong rip = parts[0].Rip;
        bool compact = parts[0].Plain == null;
        lock (_lock)
        {
            Translation* old = Find(block, rip, shared);
            if ((old != null && (compact || !old->IsCompact)) || IsFull || !block->Valid)
            {
                return old;
            }

            nuint record = Translation.SizeOf(count);
            Translation* t = (Translation*)Record(record);
            t->Rip = rip;
            t->IsShared = shared;
            t->FirstPage = page;
            t->SecondPage = second;
            t->Block = block;
            t->PartCount = count;
            for (int n = 0; n < count; n++)
            {
                t->Parts[n] = parts[n];
            }

            t->IsCompact = compact;
            t->Sites = _sites + _siteCount;
            t->Starts = compact ? _starts + _startCount : null;
            t->Plain = old;
            byte* place = _base + _used;
            *(Translation**)(place + _writeDistance) = t;
            long begun = _observer == null ? 0 : Stopwatch.GetTimestamp();
            int length = BlockTranslator.Translate(this, t, wideVectors, new HostAssembler(place + Header, MaximumBlock - Header, _writeDistance));
            long ended = _observer == null ? 0 : Stopwatch.GetTimestamp();
            if (length == 0 || !AreValid(t))
            {
                return old;
            }

            _recordsUsed += record;
            UsesWideVectors |= wideVectors && t->UsesVectors;
            Add(t, length);
            t->Next = block->Translations;
            block->Translations = t;
            if (old != null)
            {
                Replace(old, t);
            }

            Revive(block, t);

            if (_observer != null)
            {
                Report(_observer, t, Stopwatch.GetElapsedTime(begun, ended));
            }

            return t;
        }
    }

    /// <summary>Says where translated code has left.</summary>
    /// <param name="exit">How.</param>
    /// <param name="data">What <see cref="ProcessorContext.ExitData"/> holds.</param>
    public CodePlace FindPlace(TranslationExit exit, byte* data)
    {
        if (exit == TranslationExit.Interpret)
        {
            Translation* t = *(Translation**)(data - *(ushort*)(data + 1) - Header);
            return new CodePlace { Translation = t, Index = *data, Resume = data + 3 };
        }

        if (exit == TranslationExit.Link)
        {
            return new CodePlace { Translation = *(Translation**)(data - (*(ushort*)data & LinkDistanceMask) - Header) };
        }

        Translation* found = FindTranslation(data - 1);
        if (exit == TranslationExit.Site)
        {
            TranslationSite* site = found->FindSite((int)(data - found->NativeEntry));
            return new CodePlace { Translation = found, Index = site->Index, Resume = found->Plain != null ? ResumeInPlain(found, site->Index) : found->NativeEntry + site->Resume };
        }

        return new CodePlace { Translation = found };
    }

    /// <summary>Drops the translations of a block: whoever enters them is led out. Processors inside go on to their next exit.</summary>
    public void Drop(Block* block)
    {
        lock (_lock)
        {
            Translation* t = block->Translations;
            block->Translations = null;
            while (t != null)
            {
                Translation* next = t->Next;
                Volatile.Write(ref t->IsDropped, true);
                Patch(t->Entry, CallOpcode, Routines.StartExit);
                if (t->NativeEntry != t->Entry)
                {
                    Patch(t->NativeEntry, CallOpcode, Routines.NativeStartExit);
                }

                t->Next = block->Dropped;
                block->Dropped = t;
                t = next;
            }
        }
    }

    /// <summary>Empties the cache. Only at a safe point.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _translationCount = 0;
            _recordsUsed = 0;
            new Span<int>(_granules, (int)(_size >> GranuleShift) + 1).Clear();
            UsesWideVectors = false;
            _siteCount = 0;
            _startCount = 0;
            _used = _routinesEnd;
        }
    }

    public void Dispose()
    {
        foreach (MemoryMapping table in _tables)
        {
            table.Dispose();
        }

        _code.Dispose();
    }

    // Memory of a table that is filled from its beginning on, zero at first.
    private byte* Map(int count, int elementSize)
    {
        MemoryMapping table = MemoryMapping.CreateGrowing((ulong)count * (ulong)elementSize);
        _tables.Add(table);
        return (byte*)table.Address;
    }

    // Zeroes for what describes code. Whoever keeps them adds their number to what is used.
    private byte* Record(nuint bytes)
    {
        byte* record = _records + _recordsUsed;
        new Span<byte>(record, (int)bytes).Clear();
        return record;
    }

    [SkipLocalsInit]
    private void Report(ITranslationObserver observer, Translation* t, TimeSpan duration)
    {
        const int longestInstruction = 15;
        Span<byte> code = stackalloc byte[BlockCache.MaximumInstructions * longestInstruction];
        Span<TranslatedPart> parts = stackalloc TranslatedPart[Trace.MaximumParts];
        int used = 0;
        for (int n = 0; n < t->PartCount; n++)
        {
            TranslationPart part = t->Parts[n];
            CopyCode(part.Block, code[used..]);
            used += part.Block->ByteLength;
            parts[n] = new TranslatedPart(part.Rip + t->FirstPage, part.Block->ByteLength);
        }

        observer.Translated(new TranslatedBlock
        {
            Rip = t->Rip + t->FirstPage,
            Physical = t->Block->Physical,
            GuestCode = code[..used],
            Parts = parts[..t->PartCount],
            HostAddress = (nint)t->NativeEntry,
            HostCode = new ReadOnlySpan<byte>(t->NativeEntry, (int)(t->End - t->NativeEntry)),
            Duration = duration,
            CallData = Routines.CallData,
        });
    }

    private static int GuestBytesOf(Translation* t)
    {
        int bytes = 0;
        for (int n = 0; n < t->PartCount; n++)
        {
            bytes += t->Parts[n].Block->ByteLength;
        }

        return bytes;
    }

    // Behind an instruction in the compact translation of its part.
    private static byte* ResumeInPlain(Translation* t, int index)
    {
        TranslationPart part = t->PartOf(index);
        return part.Plain->StartOf(index + 1 - part.First);
    }

    // Whoever drops a block does so before its page's translations, this one too, are dropped.
    private static bool AreValid(Translation* t)
    {
        bool valid = true;
        for (int n = 0; n < t->PartCount; n++)
        {
            valid &= Volatile.Read(ref t->Parts[n].Block->Valid);
        }

        return valid;
    }

    private void Add(Translation* t, int length)
    {
        t->End = t->NativeEntry + length;
        _translations[_translationCount] = t;
        _begins[_translationCount] = (uint)(t->NativeEntry - _base);
        int number = _translationCount + 1;
        Volatile.Write(ref _translationCount, number);
        nuint last = (nuint)(t->End - 1 - _base) >> GranuleShift;
        for (nuint granule = (nuint)(t->NativeEntry - _base) >> GranuleShift; granule <= last; granule++)
        {
            if (_granules[granule] == 0)
            {
                Volatile.Write(ref _granules[granule], number);
            }
        }

        _used = ((nuint)(t->End - _base) + 15) & ~(nuint)15;
        _siteCount += t->SiteCount;
        _startCount += t->IsCompact ? t->Block->Count + 1 : 0;
        Count++;
        GuestBytes += GuestBytesOf(t);
        HostBytes += length;
    }

    private Translation* FindTranslation(byte* code)
    {
        // Others add to them meanwhile; what has run is there.
        int number = Volatile.Read(ref _granules[(nuint)(code - _base) >> GranuleShift]) - 1;
        int count = Volatile.Read(ref _translationCount);
        uint offset = (uint)(code - _base);
        while (number + 1 < count && _begins[number + 1] <= offset)
        {
            number++;
        }

        return _translations[number];
    }
}
