namespace Lamina.Machine.Devices;

/// <summary>What gives a guest memory beside that of the start. Any thread.</summary>
public interface IHotAdd
{
    /// <summary>How far the guest is.</summary>
    HotAddState HotAdd { get; }

    /// <summary>Says who is told of the guest's answers. Before the machine starts.</summary>
    void SetObserver(IHotAddObserver observer);
}
