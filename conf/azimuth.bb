SUMMARY = "Azure IoT Hub device agent for 64-bit Linux gateways"
DESCRIPTION = "Connects a gateway to Azure IoT Hub, keeps it connected and drives its lamps."
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=d32b7d9746670937e5097c898edfe5ad"
PV = "0.1.0"

# The executable is made outside of the build, by `make build TARGET=bun-linux-arm64`
# (or bun-linux-x64) in the tree that this recipe is part of.
FILESEXTRAPATHS:prepend := "${THISDIR}:${THISDIR}/..:${THISDIR}/../build:"
SRC_URI = " \
    file://LICENSE \
    file://native \
    file://azimuth \
    file://azimuth.ini \
    file://azimuth.env \
    file://azimuth.init \
    file://azimuth.service \
    file://azimuth.sysusers \
    file://90-azimuth.rules \
"
S = "${WORKDIR}"

# There is no Bun for other processors.
COMPATIBLE_HOST = "(x86_64|aarch64).*-linux"

# libtss2, which libazimuth.so is built against.
DEPENDS = "tpm2-tss"

inherit update-rc.d systemd useradd

INITSCRIPT_NAME = "azimuth"
INITSCRIPT_PARAMS = "defaults 90 10"
SYSTEMD_SERVICE:${PN} = "azimuth.service"
USERADD_PACKAGES = "${PN}"
# Members of tss may open the TPM; tpm2-tss makes the same group.
GROUPADD_PARAM:${PN} = "--system tss"
USERADD_PARAM:${PN} = "--system --no-create-home --shell /sbin/nologin --user-group \
    --groups tss azimuth"
RDEPENDS:${PN} = "ca-certificates"

# Stripping would cut off the program that is appended to the executable.
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_SYSROOT_STRIP = "1"
INSANE_SKIP:${PN} += "already-stripped ldflags libdir"

do_configure[noexec] = "1"

do_compile() {
    CC="${CC}" CFLAGS="${CFLAGS} ${LDFLAGS}" \
        sh ${WORKDIR}/native/build.sh ${WORKDIR}/libazimuth.so
}

do_install() {
    install -D -m 0755 ${WORKDIR}/azimuth ${D}${bindir}/azimuth
    install -D -m 0755 ${WORKDIR}/libazimuth.so \
        ${D}${nonarch_libdir}/azimuth/libazimuth.so
    install -D -m 0600 -o azimuth ${WORKDIR}/azimuth.ini ${D}${sysconfdir}/azimuth/azimuth.ini
    install -D -m 0644 ${WORKDIR}/azimuth.env ${D}${sysconfdir}/azimuth/azimuth.env
    install -D -m 0755 ${WORKDIR}/azimuth.init ${D}${sysconfdir}/init.d/azimuth
    install -D -m 0644 ${WORKDIR}/azimuth.service ${D}${systemd_system_unitdir}/azimuth.service
    install -D -m 0644 ${WORKDIR}/azimuth.sysusers ${D}${nonarch_libdir}/sysusers.d/azimuth.conf
    install -D -m 0644 ${WORKDIR}/90-azimuth.rules \
        ${D}${nonarch_base_libdir}/udev/rules.d/90-azimuth.rules
}

CONFFILES:${PN} = "${sysconfdir}/azimuth/azimuth.ini"
FILES:${PN} += "${nonarch_libdir}/azimuth ${nonarch_libdir}/sysusers.d ${nonarch_base_libdir}/udev"
