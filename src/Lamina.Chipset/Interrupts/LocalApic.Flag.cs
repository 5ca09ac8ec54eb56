using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Interrupts;

/// <content>
/// Interrupts that the guest ends by a flag in its memory. The flag is up only while nothing waits for the end, and is taken down when something does; then the guest tells. It is looked at before
/// anything else is done with the registers.
/// </content>
public sealed partial class LocalApic
{
    private IEndOfInterruptFlag? _flag;
    private bool _flagUp;

    /// <inheritdoc/>
    public void Connect(IEndOfInterruptFlag flag) => _flag = flag;

    /// <inheritdoc/>
    public void Settle() => ApplyInit();

    // Level-triggered interrupts are ended at the I/O APIC too, so that the guest has to tell at once.
    private void RaiseFlag(byte vector)
    {
        if (_flag is { } flag && !_triggerMode.Contains(vector) && _requests.Highest < 0)
        {
            _flagUp = flag.TryRaise();
        }
    }

    // Whoever looks for interrupts next need not be told of those that the end lets through.
    private void LowerFlag()
    {
        _flagUp = false;
        if (_flag?.Lower() == false)
        {
            EndHighest();
        }
    }
}
