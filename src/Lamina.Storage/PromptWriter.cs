using System.Diagnostics;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Threading;

namespace Lamina.Storage;

/// <summary>
/// Writes into the host's memory on the thread that asks. A host that can say that a write would have to wait is asked to (RWF_NOWAIT); file systems that cannot (ext4) are written to all the same, because a
/// copy into memory is over before another thread has even begun with it. Not for a while after one that was seen to wait (<see cref="WritePause"/>). Any thread.
/// </summary>
internal sealed class PromptWriter(BlockFile file)
{
    /// <summary>Bytes of a write at most that may have to wait.</summary>
    public const ulong MaximumLength = 256 << 10;

    private readonly WritePause _pause = new();
    private volatile bool _hostTells = true;

    /// <summary>Writes. What was not written entirely is to be written again.</summary>
    /// <returns>Whether all was written.</returns>
    public bool TryWrite(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        if (_hostTells)
        {
            int error = file.TryWriteNow(offset, buffers, length, mayWait: false);
            _hostTells = error != ErrorNumber.NotSupported;
            if (_hostTells)
            {
                return error == 0;
            }
        }

        long began = Stopwatch.GetTimestamp();
        if (length > MaximumLength || !_pause.IsOver(began))
        {
            return false;
        }

        bool watched = _pause.IsWatching(began);
        long switches = watched ? ThreadUsage.VoluntarySwitches : 0;
        bool written = file.TryWriteNow(offset, buffers, length, mayWait: true) == 0;
        long ended = Stopwatch.GetTimestamp();
        if (WritePause.IsLong(ended - began))
        {
            _pause.NoteLong(began, ended, waited: watched && ThreadUsage.VoluntarySwitches != switches);
        }

        return written;
    }
}
