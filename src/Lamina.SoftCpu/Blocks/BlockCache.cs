using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Lamina.Interop.Memory;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Blocks;

/// <summary>
/// The decoded blocks of one VM, found by physical address, shared by its processors. Look-up takes no lock. A write to a page that has blocks
/// drops those that overlap it; a processor that is inside one stops before its next instruction, because every handler of a
/// dropped block is replaced. Memory is reclaimed only by <see cref="Clear"/>, at a safe point.
/// </summary>
internal sealed unsafe class BlockCache : ICodeInvalidator, IDisposable
{
    private const int BucketBits = 18;
    private const int BucketCount = 1 << BucketBits;
    private const int PageSize = 0x1000;
    private const int LongestInstruction = 15;

    /// <summary>Instructions of a block at most.</summary>
    public const int MaximumInstructions = 48;

    private readonly SoftwarePartition _partition;
    private readonly GuestMemory _memory;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, nint> _pages = [];
    private readonly Block** _buckets;
    private readonly MemoryMapping _arenaMapping;
    private readonly byte* _arena;
    private readonly nuint _arenaSize;
    private nuint _used;

    public BlockCache(SoftwarePartition partition, GuestMemory memory, nuint arenaSize)
    {
        _partition = partition;
        _memory = memory;
        _arenaSize = arenaSize;
        _buckets = (Block**)NativeMemory.AllocZeroed(BucketCount, (nuint)sizeof(Block*));
        _arenaMapping = MemoryMapping.CreateGrowing(arenaSize);
        _arena = (byte*)_arenaMapping.Address;
    }

    /// <summary>Counts whole-cache clears; a cached pointer to a block is good only within one epoch.</summary>
    public int Epoch { get; private set; }

    /// <summary>Blocks decoded since creation.</summary>
    public long Decoded { get; private set; }

    /// <summary>Finds a block, or null.</summary>
    public Block* Find(ulong physical, int codeSize)
    {
        Block* block = Bucket(physical, codeSize);
        while (block != null && (block->Physical != physical || block->CodeSize != codeSize || !block->Valid))
        {
            block = block->HashNext;
        }

        return block;
    }

    /// <summary>
    /// Decodes a block at a physical address. Null if there is no RAM, if even the first instruction leaves the page, or if it cannot be decoded: then the
    /// processor takes that one instruction byte by byte.
    /// </summary>
    public Block* Create(ProcessorContext* c, ulong physical, int codeSize)
    {
        while (true)
        {
            byte* attributes = _memory.GetPageAttributes(physical);
            if (attributes == null)
            {
                return null;
            }

            if ((Volatile.Read(ref *attributes) & (byte)PageAttributes.Code) == 0)
            {
                _partition.WatchCodePage(c, physical);
            }

            if (_used + (nuint)(sizeof(Block) + (MaximumInstructions * sizeof(Instruction))) > _arenaSize)
            {
                _partition.ClearBlocks(c);
            }

            lock (_lock)
            {
                bool full = _used + (nuint)(sizeof(Block) + (MaximumInstructions * sizeof(Instruction))) > _arenaSize;
                if (full || (Volatile.Read(ref *attributes) & (byte)PageAttributes.Code) == 0)
                {
                    continue;
                }

                Block* existing = Find(physical, codeSize);
                return existing != null ? existing : Decode(physical, codeSize);
            }
        }
    }

    /// <inheritdoc/>
    public void InvalidateCode(ulong address, ulong length)
    {
        lock (_lock)
        {
            ulong last = (address + length - 1) & ~0xfffUL;
            for (ulong page = address & ~0xfffUL; page <= last; page += 0x1000)
            {
                if (_pages.TryGetValue(page, out nint head))
                {
                    InvalidatePage(page, (Block*)head, address, length);
                }
                else
                {
                    _memory.RemovePageAttributes(page, PageAttributes.Code);
                }
            }
        }
    }

    /// <summary>Drops everything. Only while no processor is inside a block.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            foreach (ulong page in _pages.Keys)
            {
                _memory.RemovePageAttributes(page, PageAttributes.Code);
            }

            _pages.Clear();
            new Span<nint>(_buckets, BucketCount).Clear();
            _used = 0;
            Epoch++;
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(_buckets);
        _arenaMapping.Dispose();
    }

    // From a copy, so that what another processor writes meanwhile, by an access that does not cross 16 bytes, is seen whole or not at all. It drops the block afterwards.
    [SkipLocalsInit]
    private Block* Decode(ulong physical, int codeSize)
    {
        ulong page = physical & ~0xfffUL;
        byte* memory = (byte*)_memory.GetHostAddress(page, PageSize);
        byte* code = stackalloc byte[PageSize];
        int offset = (int)(physical & 0xfff);
        Block* block = (Block*)(_arena + _used);
        Instruction* i = Block.Instructions(block);
        int count = 0;
        bool ends = false;
        int position = offset;
        int copied = offset & -Vector128<byte>.Count;
        while (count < MaximumInstructions && !ends && position < PageSize)
        {
            for (; copied < Math.Min(position + LongestInstruction, PageSize); copied += Vector128<byte>.Count)
            {
                Vector128.Load(memory + copied).Store(code + copied);
            }

            DecodeStatus status = Decoder.Decode(code + position, PageSize - position, codeSize, out *i);
            if (status != DecodeStatus.Done)
            {
                break;
            }

            _partition.Bind(i, codeSize);
            ends = (i->Flags & InstructionFlags.EndsBlock) != 0;
            position += i->Length;
            i++;
            count++;
        }

        if (count > 1 && IsSetInterrupt(i - 1))
        {
            // It holds interrupts off for an instruction, which must be in the same block.
            i--;
            count--;
            position -= i->Length;
            ends = false;
        }
        else if (count == 1 && IsSetInterrupt(i - 1))
        {
            (i - 1)->Handler = &Execute.ControlHandlers.SetInterruptLast;
            (i - 1)->Flags |= InstructionFlags.EndsBlock;
            ends = true;
        }
        else if (count == 0)
        {
            return null;
        }

        block->Physical = physical;
        block->Count = (ushort)count;
        block->ByteLength = (ushort)(position - offset);
        block->CodeSize = (byte)codeSize;
        block->SetsRip = ends;
        block->Valid = true;
        block->Heat = 0;
        block->Translations = null;
        block->Dropped = null;
        _used = ((nuint)((byte*)i - _arena) + 15) & ~(nuint)15;
        Decoded++;
        ref Block* bucket = ref Bucket(physical, codeSize);
        block->HashNext = bucket;
        block->PageNext = _pages.TryGetValue(page, out nint head) ? (Block*)head : null;
        _pages[page] = (nint)block;
        Thread.MemoryBarrier();
        bucket = block;
        return block;
    }

    // With LOCK it means nothing.
    private static bool IsSetInterrupt(Instruction* i) => i->Opcode == 0xfb && i->Map == 0 && (i->Flags & InstructionFlags.Undefined) == 0;

    private void InvalidatePage(ulong page, Block* head, ulong address, ulong length)
    {
        // Before any translation is dropped: one that is just being made may hold several blocks, and is only kept while all of them are valid.
        for (Block* b = head; b != null; b = b->PageNext)
        {
            if (Overlaps(b, address, length))
            {
                Volatile.Write(ref b->Valid, false);
            }
        }

        Block* kept = null;
        Block* block = head;
        while (block != null)
        {
            Block* next = block->PageNext;
            if (Overlaps(block, address, length))
            {
                Drop(block);
            }
            else
            {
                // Its translations have looked at other code of the page: at what reads flags behind a jump, and at what follows.
                _partition.Code?.Drop(block);
                block->PageNext = kept;
                kept = block;
            }

            block = next;
        }

        if (kept == null)
        {
            _pages.Remove(page);
            _memory.RemovePageAttributes(page, PageAttributes.Code);
        }
        else
        {
            _pages[page] = (nint)kept;
        }
    }

    private static bool Overlaps(Block* block, ulong address, ulong length) => block->Physical < address + length && address < block->Physical + block->ByteLength;

    private void Drop(Block* block)
    {
        _partition.Code?.Drop(block);
        ref Block* link = ref Bucket(block->Physical, block->CodeSize);
        while (link != block)
        {
            link = ref link->HashNext;
        }

        link = block->HashNext;
        Instruction* i = Block.Instructions(block);
        for (int n = 0; n < block->Count; n++, i++)
        {
            i->Handler = &Execute.ControlHandlers.Invalidated;
            i->Flags |= InstructionFlags.Dropped;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Block* Bucket(ulong physical, int codeSize)
    {
        ulong hash = (physical + (ulong)codeSize) * 0x9e37_79b9_7f4a_7c15;
        return ref _buckets[hash >> (64 - BucketBits)];
    }
}
