using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Bus;

/// <summary>The record of back ends of one kind, or of one of them. The bus starts and stops them.</summary>
/// <param name="bus">The bus.</param>
/// <param name="name">Its name.</param>
/// <param name="type">The kind.</param>
/// <param name="number">The number of the only one; null for all.</param>
internal sealed class BackEndRecord(XenBusController bus, string name, string type, uint? number) : IDevice
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset()
    {
        foreach (BackEnd backEnd in bus.BackEnds)
        {
            if (Has(backEnd))
            {
                XenBusController.Reset(backEnd);
            }
        }
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        foreach (BackEnd backEnd in bus.BackEnds)
        {
            if (Has(backEnd))
            {
                backEnd.Save(state, GetField(backEnd));
            }
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = true;
        foreach (BackEnd backEnd in bus.BackEnds)
        {
            valid = valid && (!Has(backEnd) || backEnd.Restore(state, GetField(backEnd)));
        }

        return valid;
    }

    private bool Has(BackEnd backEnd) => backEnd.Type == type && (number is null || backEnd.Number == number);

    private ushort GetField(BackEnd backEnd) => (ushort)((number is null ? backEnd.Index : 0) * BackEnd.SavedFields);
}
