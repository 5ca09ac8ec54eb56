using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage.Qcow2;

/// <content>
/// Requests for which no table changes: they go to the file as they are, at another place, without waiting for anybody. What is under way in an io_uring holds no lock, so that clusters which
/// are not used any more become free only when it has ended.
/// </content>
internal sealed partial class Qcow2Image
{
    internal override bool SuitsRing => true;

    /// <inheritdoc/>
    public override bool TryReadNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        if (!_canReadNow || !_lock.TryEnterReadLock(0))
        {
            return false;
        }

        try
        {
            if (!TryGetPlace(offset, length, mustOwn: false, out ulong place))
            {
                return false;
            }

            int error = _file.TryReadNow(place, buffers, length);
            _canReadNow = error != ErrorNumber.NotSupported;
            return error == 0;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    /// <inheritdoc/>
    public override bool TryWriteNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        if (IsReadOnly || !_lock.TryEnterReadLock(0))
        {
            return false;
        }

        try
        {
            return TryGetPlace(offset, length, mustOwn: true, out ulong place) && _writer.TryWrite(place, buffers, length);
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    internal override BlockFile? BeginRing(BlockOperation operation, ulong offset, ulong length, ReadOnlySpan<IoVector> buffers, out ulong place)
    {
        place = 0;
        if ((IsReadOnly && operation != BlockOperation.Read) || !_lock.TryEnterReadLock(0))
        {
            return null;
        }

        try
        {
            bool suits = operation == BlockOperation.Flush ? !HasToWriteBack : TryGetPlace(offset, length, operation == BlockOperation.Write, out place);
            if (suits)
            {
                lock (_ringGate)
                {
                    _inRing++;
                }
            }

            return suits ? _file : null;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    internal override void EndRing()
    {
        lock (_ringGate)
        {
            if (--_inRing == 0)
            {
                Monitor.PulseAll(_ringGate);
            }
        }
    }

    // Nothing new begins: the caller has the image for itself.
    private void WaitForRing()
    {
        lock (_ringGate)
        {
            while (_inRing > 0)
            {
                Monitor.Wait(_ringGate);
            }
        }
    }

    // Where in the file a range of the disk lies, if it lies there without a gap and the tables in memory say so; for writing, where the image has it for itself.
    private bool TryGetPlace(ulong offset, ulong length, bool mustOwn, out ulong place)
    {
        place = 0;
        if (!IsTableLoaded(offset) || FindRun(offset, length, out ulong entry, out ulong run) != 0 || run < length)
        {
            return false;
        }

        bool suits = mustOwn ? IsOwn(entry) : (entry & (Compressed | Zero)) == 0 && (entry & OffsetMask) != 0;
        place = (entry & OffsetMask) + (offset & (ClusterSize - 1));
        return suits;
    }

    // So that looking something up needs no waiting.
    private bool IsTableLoaded(ulong offset)
    {
        lock (_tablesLock)
        {
            return _tables.ContainsKey(TableIndex(offset));
        }
    }
}
