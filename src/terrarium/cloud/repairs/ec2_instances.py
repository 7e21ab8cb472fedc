"""EC2's instances and images as AWS shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from terrarium.cloud.determinism import moto
from terrarium.cloud.repairs.images import IMAGES
from terrarium.cloud.repairs.patching import around


def install_images() -> None:
    """Adds the catalogue of `images` to what moto knows."""
    amis = moto("ec2.models.amis")

    def load(original: Callable[..., None]) -> Callable[..., None]:
        def load_amis(backend: Any) -> None:
            original(backend)
            for image in IMAGES.get(backend.region_name, ()):
                made = amis.Ami(
                    backend,
                    image.id,
                    name=image.name,
                    description=image.description,
                    owner_id=image.owner,
                    owner_alias="amazon",
                    public=True,
                    virtualization_type="hvm",
                    architecture=image.architecture,
                    creation_date=amis.parse_timestamp(image.created),
                    hypervisor="xen",
                    image_location=f"amazon/{image.name}",
                    root_device_type="ebs",
                    root_device_name=image.root_device,
                    region_name=backend.region_name,
                    boot_mode=image.boot_mode,
                )
                backend.amis[image.id] = made

        return load_amis

    around(amis.AmiBackend, "_load_amis", load)


# (virtual cores, threads of each) of burstable types; all others: two threads a core by their count of virtual CPUs.
_NO_THREADS = ("t2.", "a1.", "t4g.", "m6g", "m7g", "m8g", "c6g", "c7g", "c8g", "r6g", "r7g", "r8g")


def install_instances() -> None:
    instances = moto("ec2.models.instances")
    types = moto("ec2.models.instance_types")

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def init(self: Any, backend: Any, image_id: str, user_data: Any, groups: Any, **rest: Any) -> None:
            nics = rest.get("nics") or []
            if not rest.get("subnet_id") and not any("SubnetId" in n or "NetworkInterfaceId" in n for n in nics):
                zone = rest.get("placement") or f"{backend.region_name}a"
                default = backend.get_default_subnets().get(zone)
                if default is not None:
                    rest["subnet_id"] = default.id
            if not groups and not any(n.get("Groups") for n in nics):
                place = backend.get_subnet(rest["subnet_id"]) if rest.get("subnet_id") else None
                group = backend.get_default_security_group(place.vpc_id) if place is not None else None
                groups = [group] if group is not None else groups
            original(self, backend, image_id, user_data, groups, **rest)
            known = backend.amis.get(self.image_id)
            self.virtualization_type = "hvm"
            self.kernel_id = None
            self.root_device_name = known.root_device_name if known else "/dev/xvda"
            self.boot_mode = known.boot_mode if known and known.boot_mode != "uefi" else None
            self.current_instance_boot_mode = "legacy-bios" if self.instance_type.startswith("t2.") else "uefi"
            self.ena_support = True
            self.platform_details = "Windows" if self.platform == "windows" else "Linux/UNIX"
            self.usage_operation = "RunInstances:0002" if self.platform == "windows" else "RunInstances"
            self.usage_operation_update_time = self.launch_time
            self.capacity_reservation_specification = {"CapacityReservationPreference": "open"}
            self.enclave_options = {"Enabled": False}
            self.maintenance_options = {"AutoRecovery": "default", "RebootMigration": "default"}
            self.private_dns_name_options = {
                "HostnameType": "ip-name",
                "EnableResourceNameDnsARecord": False,
                "EnableResourceNameDnsAAAARecord": False,
            }
            self.cpu_options = cpu_options(self.instance_type, types.INSTANCE_TYPES.get(self.instance_type))
            nic = self.nics.get(0)
            if nic is not None and not any("NetworkInterfaceId" in n for n in nics):
                nic.delete_on_termination = True

        return init

    def setup(self: Any) -> None:
        known = self.ec2_backend.amis.get(self.image_id)
        size = 30 if known and known.platform == "windows" else 8
        volume = self.ec2_backend.create_volume(size=size, zone_name=self._placement.zone)
        self.ec2_backend.attach_volume(volume.id, self.id, self.root_device_name, True)

    around(instances.Instance, "__init__", make)
    instances.Instance.setup_defaults = setup

    def state_reason(self: Any) -> Any:
        reason = self.__dict__.get("_state_reason")
        return reason if reason is not None and reason.code else None

    def set_state_reason(self: Any, value: Any) -> None:
        self.__dict__["_state_reason"] = value

    instances.Instance.state_reason = property(state_reason, set_state_reason)
    _install_run()


def cpu_options(name: str, known: Mapping[str, Any] | None) -> dict[str, int]:
    info = (known or {}).get("VCpuInfo", {})
    cores = info.get("DefaultCores")
    threads = info.get("DefaultThreadsPerCore")
    if not cores:
        count = int(info.get("DefaultVCpus", 1))
        threads = 1 if name.startswith(_NO_THREADS) else 2
        cores = max(1, count // threads)
    return {"CoreCount": int(cores), "ThreadsPerCore": int(threads or 1)}


def _install_run() -> None:
    """RunInstances starts up to MaxCount, and answers a repeated ClientToken with the instances it made before."""
    responses = moto("ec2.responses.instances").InstanceResponse
    results = moto("core.responses").ActionResult

    def run(original: Callable[..., Any]) -> Callable[..., Any]:
        def run_instances(self: Any) -> Any:
            token = self._get_param("ClientToken")
            made = self.ec2_backend.__dict__.setdefault("_terrarium_tokens", {})
            if token and token in made:
                return results(self.ec2_backend.reservations[made[token]])
            before = set(self.ec2_backend.reservations)
            wanted = self._get_param("MaxCount")
            if wanted is not None:
                self.params["MinCount"] = wanted
            result = original(self)
            new = set(self.ec2_backend.reservations) - before
            if token and len(new) == 1:
                made[token] = new.pop()
            return result

        return run_instances

    around(responses, "run_instances", run)
