namespace Lamina.Machine.Processors;

/// <summary>A way to execute guest code.</summary>
public interface IAccelerator
{
    /// <summary>As on the command line: "interpreter", "translator", "kvm".</summary>
    string Name { get; }

    /// <summary>Makes an empty VM.</summary>
    IPartition CreatePartition(PartitionSettings settings);
}
