namespace Lamina.Machine.Devices;

/// <summary>
/// The lifecycle that every device has. Order: construction, then optionally <see cref="Restore"/>, <see cref="Start"/>, then any number of <see cref="Reset"/>,
/// then <see cref="Stop"/>, <see cref="Save"/>. Called on the machine's control thread while no vCPU runs, except Reset of a single device by its bus.
/// </summary>
public interface IDevice
{
    /// <summary>Unique in the machine, stable across versions: the key of its saved state ("uart0").</summary>
    string Name { get; }

    /// <summary>Begins work (timers, back ends).</summary>
    void Start();

    /// <summary>Ends all work. Afterwards guest memory and interrupt lines are untouched until the next <see cref="Start"/>.</summary>
    void Stop();

    /// <summary>The state after power-on reset.</summary>
    void Reset();

    /// <summary>Writes the whole state that the guest can observe.</summary>
    void Save(IStateWriter state);

    /// <summary>Takes such state back. It is hostile input: validate before use.</summary>
    /// <returns><c>false</c> if it cannot be a state of this device; the device is then to be reset.</returns>
    bool Restore(IStateReader state);
}
